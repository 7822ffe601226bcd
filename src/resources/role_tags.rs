//! The role tags of a subnet that several stacks use, and how they count them. Pure: what a stack sets, keeps and
//! deletes follows from the tags that are on the subnet.
//!
//! Each stack has a marker on the subnet. It lists the role tags that the stack uses, and says of each whether a stack
//! set it or its owner. A stack that finds a role tag set by another one takes that over into its own marker, so that
//! whichever stack leaves last knows what to delete. A stack that leaves says so in its marker before it looks whether
//! others use the tag: of two that leave at once, the one that looks last sees that the other no longer uses it.

use crate::{aws::Tags, model::Snapshot};
use std::collections::BTreeMap;

/// The role tags, by which load balancer controllers choose subnets.
const ROLES: [&str; 2] = ["kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"];

/// The value that a stack gives to a role tag.
const VALUE: &str = "1";

/// What the keys of markers begin with; the name of the stack follows.
const MARKERS: &str = "provisioner:role-tags/";

/// What precedes a role tag in a marker if the stack uses it and did not set it.
const OF_OWNER: &str = "owner:";

/// What precedes a role tag in a marker if a stack set it and this one no longer uses it.
const LEAVING: &str = "leaving:";

/// What precedes the check sum of a marker.
const SUM: &str = "sum:";

/// Digits of the check sum of a marker.
const SUM_DIGITS: usize = 16;

/// What a marker says of a role tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The stack uses it, and a stack set it.
    Set,
    /// The stack uses it, and no stack set it.
    OfOwner,
    /// A stack set it, and this one no longer uses it.
    Leaving,
}

/// What a marker says, by role tag.
pub type Claims = BTreeMap<String, Claim>;

/// A subnet, as one stack sees it.
#[derive(Clone, Copy, Debug)]
pub struct SharedSubnet<'a> {
    /// Subnet id.
    pub id: &'a str,
    /// All of its tags.
    pub tags: &'a Tags,
    /// The key of the stack's own marker.
    pub marker: &'a str,
}

/// Returns the key of a stack's marker.
pub fn marker_of(stack: &str) -> String {
    format!("{MARKERS}{stack}")
}

/// Returns whether controllers accept this value of a role tag.
///
/// Source: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/subnet_discovery/>
pub fn is_accepted(value: &str) -> bool {
    value == VALUE || value.is_empty()
}

/// Returns what is wrong with a role tag whose value is not accepted, and the command that makes it usable.
pub fn unusable(subnet: &str, key: &str, value: &str) -> (String, String) {
    (
        format!(
            "subnet {subnet} has the tag {key} with the value {value:?}; load balancer controllers accept only \
             \"{VALUE}\" and \"\""
        ),
        format!("aws ec2 create-tags --resources {subnet} --tags Key={key},Value={VALUE}"),
    )
}

/// Returns the value of a marker. It ends with a check sum of itself, of its key and of the subnet, so that a text
/// that was written by hand, cut off or copied from another subnet is not taken for a marker.
pub fn write_marker(subnet: &str, marker: &str, claims: &Claims) -> String {
    let mut text = String::new();
    for (key, claim) in claims {
        let before = match claim {
            Claim::Set => "",
            Claim::OfOwner => OF_OWNER,
            Claim::Leaving => LEAVING,
        };
        text.push_str(&format!("{before}{key} "));
    }
    let sum = Snapshot::hash(format!("{subnet}|{marker}|{text}").as_bytes());
    let sum: String = sum.chars().take(SUM_DIGITS).collect();
    format!("{text}{SUM}{sum}")
}

/// Returns what a marker says; `None` if the program did not write it in this form.
pub fn read_marker(subnet: &str, marker: &str, value: &str) -> Option<Claims> {
    let mut claims = Claims::new();
    for word in value.split(' ').take_while(|word| !word.starts_with(SUM)) {
        let (key, claim) = match (word.strip_prefix(OF_OWNER), word.strip_prefix(LEAVING)) {
            (Some(key), _) => (key, Claim::OfOwner),
            (_, Some(key)) => (key, Claim::Leaving),
            _ => (word, Claim::Set),
        };
        if !ROLES.contains(&key) {
            return None;
        }
        claims.insert(key.to_owned(), claim);
    }
    (write_marker(subnet, marker, &claims) == value).then_some(claims)
}

impl SharedSubnet<'_> {
    /// Returns what the stack's own marker says.
    fn own(&self) -> Option<Claims> {
        read_marker(self.id, self.marker, self.tags.get(self.marker)?)
    }

    /// Returns the keys of other stacks' markers, and what these say if they can be read.
    fn others(&self) -> impl Iterator<Item = (&String, Option<Claims>)> {
        let others = self.tags.iter().filter(|(key, _)| key.starts_with(MARKERS) && *key != self.marker);
        others.map(|(key, value)| (key, read_marker(self.id, key, value)))
    }

    /// Returns whether another marker says that a stack set the tag, and none that it is the owner's.
    fn is_set_by_others(&self, key: &str) -> bool {
        let claims: Vec<Claim> = self.others().filter_map(|(_, claims)| claims?.get(key).copied()).collect();
        !claims.is_empty() && !claims.contains(&Claim::OfOwner)
    }

    /// Returns the key of a marker of another stack that uses the tag. One that cannot be read may use any.
    fn user(&self, key: &str) -> Option<(&String, bool)> {
        let mut others = self.others();
        others.find_map(|(marker, claims)| match claims {
            None => Some((marker, false)),
            Some(claims) => match claims.get(key) {
                Some(Claim::Set | Claim::OfOwner) => Some((marker, true)),
                Some(Claim::Leaving) | None => None,
            },
        })
    }

    /// Returns the role tags that a stack set, by the stack's own marker. A marker of an earlier version has no check
    /// sum, and proves only what the state recorded, too.
    pub fn proven(&self, recorded: &[String]) -> Vec<String> {
        match (self.own(), self.tags.get(self.marker)) {
            (Some(claims), _) => {
                claims.into_iter().filter(|(_, claim)| *claim != Claim::OfOwner).map(|(key, _)| key).collect()
            }
            (None, Some(value)) => {
                let listed = |key: &&String| value.split(' ').any(|word| word == key.as_str());
                recorded.iter().filter(listed).cloned().collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// Returns the wanted role tags that exist and that the stack's marker lists, and those that it lists as set by a stack
    /// and that are not wanted; empty if such a tag is already deleted, and only the marker still lists it.
    pub fn accounted(&self, wanted: &Tags, proven: &[String]) -> Tags {
        let own = self.own();
        let is_used = |key: &String| match &own {
            Some(claims) => matches!(claims.get(key), Some(Claim::Set | Claim::OfOwner)),
            None => true,
        };
        let value = |key: &String| self.tags.get(key).cloned();
        let used =
            wanted.keys().filter(|key| is_used(key)).filter_map(|key| Some((key.clone(), value(key)?)));
        let former = proven.iter().filter(|key| !wanted.contains_key(*key));
        used.chain(former.map(|key| (key.clone(), value(key).unwrap_or_default()))).collect()
    }

    /// Returns the wanted role tags with a value that controllers do not accept, unless a stack set the tag.
    pub fn unusable(&self, wanted: &Tags, proven: &[String]) -> Tags {
        let unusable = wanted.keys().filter(|key| !proven.contains(key)).filter_map(|key| {
            let value = self.tags.get(key).filter(|value| !is_accepted(value))?;
            Some((key.clone(), value.clone()))
        });
        unusable.collect()
    }

    /// Returns what the marker has to say for the stack to use `wanted`, and the role tags to set together with it.
    /// What the owner set stays as it is. What a stack set is set again, since another one may be deleting it.
    pub fn settings(&self, wanted: &Tags, proven: &[String]) -> (Claims, Tags) {
        let (mut claims, mut tags) = (Claims::new(), Tags::new());
        for key in proven.iter().filter(|key| self.tags.get(*key).is_some_and(|value| value == VALUE)) {
            claims.insert(key.clone(), Claim::Leaving);
        }
        for (key, wanted) in wanted {
            let by_stack = match self.tags.get(key) {
                None => true,
                Some(value) if value == VALUE => proven.contains(key) || self.is_set_by_others(key),
                Some(value) => !is_accepted(value) && proven.contains(key),
            };
            if by_stack {
                tags.insert(key.clone(), wanted.clone());
            }
            claims.insert(key.clone(), if by_stack { Claim::Set } else { Claim::OfOwner });
        }
        (claims, tags)
    }

    /// Returns what the marker has to say before `keys` are deleted, if another stack uses one of them.
    pub fn leaving(&self, keys: &[String]) -> Option<Claims> {
        let used = keys.iter().any(|key| self.user(key).is_some());
        used.then(|| keys.iter().map(|key| (key.clone(), Claim::Leaving)).collect())
    }

    /// Returns those of `keys` to delete: no other stack uses them, and they do not have another value than a stack gave
    /// them. One that is absent is deleted, too, since another stack may set it and leave before the call arrives.
    pub fn deletable(&self, keys: &[String]) -> Tags {
        let deletable = |key: &&String| {
            self.tags.get(*key).is_none_or(|value| value == VALUE) && self.user(key).is_none()
        };
        keys.iter().filter(deletable).map(|key| (key.clone(), VALUE.to_owned())).collect()
    }

    /// Returns which of `keys` stay because of a marker that cannot be read, for people.
    pub fn kept_unread(&self, keys: &[String]) -> Option<String> {
        let kept = |key: &String| {
            let (marker, _) =
                self.user(key).filter(|(_, is_read)| !is_read && self.tags.contains_key(key))?;
            Some(format!(
                "subnet {} keeps the tag {key}: {marker} may be the marker of a stack that uses it, and cannot be read",
                self.id
            ))
        };
        keys.iter().find_map(kept)
    }
}
