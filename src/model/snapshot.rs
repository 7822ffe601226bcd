//! The state of a stack: what is recorded of it, and how records change that. Pure: bytes in, bytes out.

use super::{Address, Owner, Process, Stage, UpdateId, one_line, shortened};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// The newest schema that this program reads. It writes the oldest one that can hold the document.
pub const SCHEMA: u32 = 2;

/// Who wrote a version of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Writer {
    /// The process (a UUID of one run).
    pub owner: String,
    /// A UUID of this one write: after a lost answer it tells our own write from another's.
    pub write_id: String,
    /// Program and version.
    pub tool: String,
    /// User, host and command, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When, RFC 3339, by the writer's clock; for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
}

/// Whether the stack lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is there, or is being made.
    #[default]
    Live,
    /// `down` has begun.
    Destroying,
    /// The tombstone: everything is gone.
    Destroyed,
}

/// One recorded resource, with all that its removal needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// The spec that it was last brought to, resolved.
    pub spec: Value,
    /// What was there then.
    pub live: Value,
    /// What it depends on.
    pub dependencies: BTreeSet<Address>,
    /// Set while a removal is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// The update that AWS is carrying out, so that a run that finds it follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateId>,
}

/// What is written ahead of a create call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// The kind to be made.
    pub kind: String,
    /// The stage that it belongs to.
    pub stage: Stage,
    /// One attempt's own number, a UUID; in the tags of what the attempt makes.
    pub nonce: String,
    /// The client token of the attempt, for calls that take one: 64 hexadecimal digits.
    pub token: String,
    /// The time that the call is signed with, in seconds since 1970; AWS refuses the call some minutes later.
    pub signed_at: i64,
    /// The spec that it is made from, resolved.
    pub request: Value,
    /// What it depends on.
    pub dependencies: BTreeSet<Address>,
    /// The run that made it (a UUID).
    pub owner: String,
    /// The process of that run.
    pub process: Process,
    /// Whether the call is known to have been accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

impl Intent {
    /// The client token for one attempt at one resource. The nonce is in it because AWS remembers the tokens of
    /// things already deleted: the same token would hand back a dead NAT gateway.
    pub fn token(lineage: &str, address: &Address, nonce: &str) -> String {
        hex(&Sha256::digest(format!("{lineage}|{address}|{nonce}")))
    }
}

/// A change of the state, folded in by [`Snapshot::apply`].
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A create call is about to be sent.
    CreateIntended(Address, Box<Intent>),
    /// The create call was accepted.
    CreateAccepted(Address),
    /// AWS refused the create; its intent is closed.
    CreateWithoutEffect(Address),
    /// Nothing was found of a create that may have been accepted; its intent is closed, its nonce remembered.
    CreateUnresolved(Address),
    /// The resource is as wanted.
    Applied(Address, Box<Entry>),
    /// AWS accepted an update and carries it out.
    UpdateStarted(Address, UpdateId),
    /// That update ended, well or not.
    UpdateEnded(Address),
    /// Its removal begins.
    DeleteStarted(Address),
    /// It is gone.
    Deleted(Address),
    /// It is about to be replaced by creation first: it is recorded under the second address from then on.
    Retired(Address, Address, Box<Entry>),
    /// Its replacement was not created: it is recorded under the first address again.
    Restored(Address, Address),
    /// The stack's phase.
    Phase(Phase),
    /// Something to remember that is not a resource: the zones chosen, learned durations.
    Output(String, Value),
}

/// The whole state of one stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// The form of this document.
    pub schema: u32,
    /// The stack's name.
    pub stack: String,
    /// The account that it is in, twelve digits.
    pub account: String,
    /// The region that it is in.
    pub region: String,
    /// The stack's UUID, made with it.
    pub lineage: String,
    /// One more with each write.
    pub version: u64,
    /// The fence of the last writer; only grows.
    pub epoch: u64,
    /// Who wrote it.
    pub writer: Writer,
    /// SHA-256 of the bytes of the version before, hexadecimal; empty for the first.
    pub previous: String,
    /// Whether the stack lives.
    pub phase: Phase,
    /// What is there.
    pub resources: BTreeMap<Address, Entry>,
    /// Create calls whose end is not known.
    pub intents: BTreeMap<Address, Intent>,
    /// Creates that may have been accepted although nothing was found of them, or whose records were dropped by hand:
    /// the nonce in the tags, and the address. Only these prove that an unrecorded resource is this stack's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub abandoned: BTreeMap<String, Address>,
    /// What else is remembered; nothing secret.
    pub outputs: BTreeMap<String, Value>,
    /// SHA-256 of this document with this field empty, hexadecimal.
    pub digest: String,
}

/// Why a state document is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// There is an object, with nothing in it.
    #[error("the state is empty where there was one")]
    Empty,
    /// It is not a state.
    #[error("the state cannot be read: {0}")]
    Unreadable(String),
    /// A newer program wrote it.
    #[error("the state has schema {0}, written by a newer provisioner ({1}); this one reads up to {SCHEMA}")]
    Newer(u32, String),
    /// It was changed by hand or damaged.
    #[error("the state fails its integrity check: it was edited by hand or damaged")]
    Altered,
    /// A number in it cannot be true.
    #[error("{0}: out of range ({1})")]
    OutOfRange(String, String),
    /// It belongs to something else.
    #[error("the state belongs to stack {0} in account {1}, region {2}")]
    Foreign(String, String, String),
}

impl Snapshot {
    /// The state of a stack of which nothing is there yet.
    pub fn new(owner: &Owner, account: &str, region: &str) -> Self {
        Snapshot {
            schema: 1,
            stack: owner.stack.clone(),
            account: account.to_owned(),
            region: region.to_owned(),
            lineage: owner.lineage.clone(),
            version: 0,
            epoch: 0,
            writer: Writer::default(),
            previous: String::new(),
            phase: Phase::Live,
            resources: BTreeMap::new(),
            intents: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            outputs: BTreeMap::new(),
            digest: String::new(),
        }
    }

    /// Whose resources these are.
    pub fn owner(&self) -> Owner {
        Owner { stack: self.stack.clone(), lineage: self.lineage.clone() }
    }

    /// Folds one record in.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::CreateIntended(address, intent) => {
                self.intents.insert(address, *intent);
            }
            Record::CreateAccepted(address) => {
                if let Some(intent) = self.intents.get_mut(&address) {
                    intent.made = true;
                }
            }
            Record::CreateWithoutEffect(address) => {
                self.intents.remove(&address);
            }
            Record::CreateUnresolved(address) => {
                if let Some(intent) = self.intents.remove(&address) {
                    self.abandon(intent.nonce, address);
                }
            }
            Record::Applied(address, entry) => {
                self.intents.remove(&address);
                if let Some(nonce) = entry.nonce() {
                    self.abandoned.remove(nonce);
                }
                self.resources.insert(address, *entry);
            }
            Record::UpdateStarted(address, id) => {
                if let Some(entry) = self.resources.get_mut(&address) {
                    entry.update = Some(id);
                }
            }
            Record::UpdateEnded(address) => {
                if let Some(entry) = self.resources.get_mut(&address) {
                    entry.update = None;
                }
            }
            Record::DeleteStarted(address) => {
                if let Some(entry) = self.resources.get_mut(&address) {
                    entry.leaving = true;
                }
            }
            Record::Deleted(address) => {
                self.intents.remove(&address);
                self.resources.remove(&address);
            }
            Record::Retired(address, retired, entry) => self.retire(&address, retired, *entry),
            Record::Restored(address, retired) => self.restore(address, &retired),
            Record::Phase(phase) => self.phase = phase,
            Record::Output(name, value) => {
                self.outputs.insert(name, value);
            }
        }
    }

    /// The document's bytes, sealed with its digest.
    pub fn encode(&mut self) -> Result<Vec<u8>, SnapshotError> {
        self.schema = self.oldest_schema();
        self.seal()?;
        self.bytes()
    }

    /// The oldest schema that has all of the document's fields.
    fn oldest_schema(&self) -> u32 {
        let updating = self.resources.values().any(|entry| entry.update.is_some());
        if updating || !self.abandoned.is_empty() || self.has_own_names() { 2 } else { 1 }
    }

    fn seal(&mut self) -> Result<(), SnapshotError> {
        self.digest = String::new();
        self.digest = hex(&Sha256::digest(self.bytes()?));
        Ok(())
    }

    fn bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec_pretty(self).map_err(|error| SnapshotError::Unreadable(error.to_string()))
    }

    /// Reads a document and checks it: schema first, so that a newer one is named as such and not as damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
            #[serde(default)]
            writer: Value,
        }
        let unreadable = |error: serde_json::Error| SnapshotError::Unreadable(quoted(&error.to_string()));
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(SnapshotError::Empty);
        }
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.schema > SCHEMA {
            let tool = head.writer.get("tool").and_then(Value::as_str).unwrap_or_default();
            return Err(SnapshotError::Newer(head.schema, quoted(tool)));
        }
        let mut snapshot: Snapshot = serde_json::from_slice(bytes).map_err(unreadable)?;
        let digest = snapshot.digest.clone();
        snapshot.seal()?;
        if snapshot.digest != digest {
            return Err(SnapshotError::Altered);
        }
        snapshot.check_numbers()?;
        Ok(snapshot)
    }

    /// Refuses a state of another stack, account or region.
    pub fn belongs_to(&self, stack: &str, account: &str, region: &str) -> Result<(), SnapshotError> {
        if self.stack == stack && self.account == account && self.region == region {
            return Ok(());
        }
        let [stack, account, region] = [&self.stack, &self.account, &self.region].map(|text| quoted(text));
        Err(SnapshotError::Foreign(stack, account, region))
    }

    /// SHA-256 of a document's bytes, as the next version names it.
    pub fn hash(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }
}

/// Returns a text of the document for a message.
fn quoted(text: &str) -> String {
    shortened(&one_line(text), 300).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
