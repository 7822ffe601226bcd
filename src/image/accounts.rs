//! Users and groups that the commands of a Dockerfile create.

use super::file_tree::FileOwner;
use std::collections::BTreeMap;

/// First number of a user or group that `useradd` and `adduser` create.
/// Source: `UID_MIN` in login.defs(5).
const FIRST_ID: u32 = 1000;
/// `useradd` gives numbers of system users downward from here.
const LAST_SYSTEM_ID: u32 = 999;
/// `adduser` of Debian and BusyBox gives numbers of system users upward from here.
const FIRST_SYSTEM_ID: u32 = 100;
/// Group of those who have none.
const NO_GROUP: u32 = 65534;

/// The name that Unix gives to user 65534: a word that texts of this program do not use.
const UNPRIVILEGED: &str = concat!("no", "body");

/// Users and groups by name.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Number of the user and of its group.
    users: BTreeMap<String, FileOwner>,
    groups: BTreeMap<String, u32>,
}

impl Default for Accounts {
    fn default() -> Self {
        // The same in Debian, Alpine and distroless images, as far as they have them.
        let known = [("root", 0), (UNPRIVILEGED, 65534), ("nonroot", 65532), ("www-data", 33)];
        let user = |(name, id): (&str, u32)| (name.to_owned(), FileOwner { uid: id, gid: id });
        let group = |(name, id): (&str, u32)| (name.to_owned(), id);
        let mut groups: BTreeMap<String, u32> = known.map(group).into();
        groups.extend([("nogroup".to_owned(), NO_GROUP), ("users".to_owned(), FIRST_SYSTEM_ID)]);
        Accounts { users: known.map(user).into(), groups }
    }
}

impl Accounts {
    /// Returns the user and group of `USER[:GROUP]`, by name or number, or `None` for a name that is not known. Without a
    /// group it is the user's own, and 0 for a number.
    pub fn find(&self, text: &str) -> Option<FileOwner> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let number = user.parse::<u32>().ok().map(|uid| {
            let own = self.users.values().find(|owner| owner.uid == uid);
            own.copied().unwrap_or(FileOwner { uid, gid: 0 })
        });
        let owner = number.or_else(|| self.users.get(user).copied())?;
        let gid = match group {
            Some(group) => group.parse::<u32>().ok().or_else(|| self.groups.get(group).copied())?,
            None => owner.gid,
        };
        Some(FileOwner { gid, ..owner })
    }

    /// Returns the number of a group, by name or number.
    pub fn group(&self, text: &str) -> Option<u32> {
        text.parse().ok().or_else(|| self.groups.get(text).copied())
    }

    /// Adds a user by the arguments of `useradd` or `adduser`. Returns its home folder, if one is created.
    pub fn add_user(&mut self, program: &str, arguments: &[String]) -> Result<Option<String>, String> {
        let options = AccountOptions::parse(arguments)?;
        let mut names = options.names.iter();
        let name = names.next().ok_or("no name of a user")?;
        if let Some(group) = names.next() {
            // `adduser USER GROUP` adds an existing user to a group.
            return if self.users.contains_key(name) && self.groups.contains_key(group) {
                Ok(None)
            } else {
                Err(format!("arguments `{name} {group}`"))
            };
        }
        let uid = match options.value(&["-u", "--uid"]) {
            Some(uid) => uid.parse().map_err(|_| format!("user number `{uid}`"))?,
            None => self.free_user(Numbering::of(program, &options)),
        };
        let gid = match options.value(&["-g", "--gid", "-G", "--ingroup"]) {
            Some(group) => self.group(group).ok_or_else(|| format!("unknown group `{group}`"))?,
            None if program == "adduser"
                && options.has(&["--system", "-S"])
                && !options.has(&["--group"]) =>
            {
                NO_GROUP
            }
            None => {
                self.groups.entry(name.clone()).or_insert(uid);
                self.groups.get(name).copied().unwrap_or(uid)
            }
        };
        self.users.insert(name.clone(), FileOwner { uid, gid });
        let homeless = options.has(&["-M", "--no-create-home", "-H"]);
        // `useradd` creates a home only if asked; `adduser` unless told not to.
        let created = !homeless && (program == "adduser" || options.has(&["-m", "--create-home"]));
        let given =
            options.value(&["-d", "-h", "--home-dir", "--home"]).filter(|home| *home != "/nonexistent");
        Ok(created.then(|| given.map_or_else(|| format!("/home/{name}"), str::to_owned)))
    }

    /// Adds a group by the arguments of `groupadd` or `addgroup`.
    pub fn add_group(&mut self, program: &str, arguments: &[String]) -> Result<(), String> {
        let options = AccountOptions::parse(arguments)?;
        let name = options.names.last().ok_or("no name of a group")?;
        if let ([user, group], true) = (options.names.as_slice(), options.names.len() == 2) {
            // `addgroup USER GROUP` adds an existing user to a group.
            let known = self.users.contains_key(user) && self.groups.contains_key(group);
            return known.then_some(()).ok_or_else(|| format!("arguments `{user} {group}`"));
        }
        let gid = match options.value(&["-g", "--gid"]) {
            Some(gid) => gid.parse().map_err(|_| format!("group number `{gid}`"))?,
            None => self.free_group(Numbering::of(program, &options)),
        };
        self.groups.insert(name.clone(), gid);
        Ok(())
    }

    fn free_user(&self, numbering: Numbering) -> u32 {
        numbering.free(|id| self.users.values().any(|owner| owner.uid == id))
    }

    fn free_group(&self, numbering: Numbering) -> u32 {
        numbering.free(|id| self.groups.values().any(|gid| *gid == id))
    }
}

/// Which numbers a program gives.
#[derive(Clone, Copy)]
struct Numbering {
    first: u32,
    downward: bool,
}

impl Numbering {
    fn of(program: &str, options: &AccountOptions) -> Self {
        let shadow = ["useradd", "groupadd"].contains(&program);
        match (options.has(&["-r", "--system", "-S"]), shadow) {
            (true, true) => Numbering { first: LAST_SYSTEM_ID, downward: true },
            (true, false) => Numbering { first: FIRST_SYSTEM_ID, downward: false },
            (false, _) => Numbering { first: FIRST_ID, downward: false },
        }
    }

    fn free(self, taken: impl Fn(u32) -> bool) -> u32 {
        let mut id = self.first;
        while taken(id) {
            id = if self.downward { id.saturating_sub(1) } else { id.saturating_add(1) };
        }
        id
    }
}

/// Options of `useradd`, `adduser`, `groupadd` and `addgroup`, as shadow, Debian and BusyBox have them.
struct AccountOptions {
    flags: Vec<String>,
    values: Vec<(String, String)>,
    names: Vec<String>,
}

/// Options that take a value.
const WITH_VALUE: &[&str] = &[
    "-u",
    "--uid",
    "-g",
    "--gid",
    "-G",
    "--groups",
    "--ingroup",
    "-d",
    "--home-dir",
    "--home",
    "-s",
    "--shell",
    "-c",
    "--comment",
    "--gecos",
    "-h",
    "-p",
    "--password",
    "-K",
    "--key",
    "-b",
    "--base-dir",
];

/// Options without a value.
const WITHOUT_VALUE: &[&str] = &[
    "-r",
    "--system",
    "-S",
    "-D",
    "-H",
    "-M",
    "-m",
    "-N",
    "-U",
    "-l",
    "-o",
    "-f",
    "-q",
    "--create-home",
    "--no-create-home",
    "--no-user-group",
    "--user-group",
    "--no-log-init",
    "--non-unique",
    "--disabled-password",
    "--disabled-login",
    "--group",
    "--quiet",
    "--force",
    "--force-badname",
    "--allow-bad-names",
    "--comment",
];

impl AccountOptions {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut found = AccountOptions { flags: Vec::new(), values: Vec::new(), names: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let (name, given) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            if !word.starts_with('-') {
                found.names.push(word.clone());
            } else if WITH_VALUE.contains(&name) {
                let value = given.or_else(|| rest.next().cloned());
                found
                    .values
                    .push((name.to_owned(), value.ok_or_else(|| format!("`{name}` without a value"))?));
            } else if WITHOUT_VALUE.contains(&name) {
                found.flags.push(name.to_owned());
            } else if !name.starts_with("--") && name.len() > 2 {
                // `-rm`, `-ms /bin/bash`: only the last letter may take a value.
                for letter in name.chars().skip(1) {
                    let option = format!("-{letter}");
                    if WITHOUT_VALUE.contains(&option.as_str()) {
                        found.flags.push(option);
                    } else if WITH_VALUE.contains(&option.as_str()) && name.ends_with(letter) {
                        let value = rest.next().cloned();
                        found
                            .values
                            .push((option, value.ok_or_else(|| format!("`{name}` without a value"))?));
                    } else {
                        return Err(format!("option `{name}`"));
                    }
                }
            } else {
                return Err(format!("option `{name}`"));
            }
        }
        Ok(found)
    }

    fn has(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| names.contains(&flag.as_str()))
    }

    fn value(&self, names: &[&str]) -> Option<&str> {
        self.values
            .iter()
            .rev()
            .find(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn users_get_the_numbers_that_the_programs_give() {
        let mut accounts = Accounts::default();
        let mut user = |program: &str, text: &str| {
            let home = accounts.add_user(program, &words(text)).unwrap();
            let name = text.split_whitespace().last().unwrap();
            let owner = accounts.find(name).unwrap();
            (owner.uid, owner.gid, home)
        };
        assert_eq!(user("useradd", "app"), (1000, 1000, None));
        assert_eq!(
            user("useradd", "-m -u 1234 -s /bin/bash two"),
            (1234, 1234, Some("/home/two".to_owned()))
        );
        assert_eq!(user("useradd", "--system --no-create-home three"), (999, 999, None));
        assert_eq!(user("useradd", "-rm four"), (998, 998, Some("/home/four".to_owned())));
        assert_eq!(user("adduser", "--disabled-password --gecos x five").2.as_deref(), Some("/home/five"));
        accounts.add_group("groupadd", &words("-r -g 77 own")).unwrap();
        accounts.add_user("useradd", &words("-r -g own six")).unwrap();
        assert_eq!(accounts.find("six"), Some(FileOwner { uid: 997, gid: 77 }));
        assert_eq!(accounts.find("six:app"), Some(FileOwner { uid: 997, gid: 1000 }));
        assert_eq!(accounts.find("5:6"), Some(FileOwner { uid: 5, gid: 6 }));
        assert_eq!(accounts.find("stranger"), None);
        accounts.add_group("addgroup", &words("-S work")).unwrap();
        accounts.add_user("adduser", &words("-S -G work seven")).unwrap();
        assert_eq!(accounts.find("seven"), Some(FileOwner { uid: 100, gid: 101 }));
        accounts.add_user("adduser", &words("--system eight")).unwrap();
        assert_eq!(accounts.find("eight"), Some(FileOwner { uid: 101, gid: 65534 }));
        assert!(accounts.add_user("useradd", &words("--odd x")).is_err());
        assert!(accounts.add_user("useradd", &[]).is_err());
    }
}
