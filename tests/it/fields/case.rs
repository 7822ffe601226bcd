//! A field of the file, what its change shows in a plan, and what it does in AWS.

use super::schema::values;
use crate::common::{Ended, Provider};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A value as the file writes it.
fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Python for [`Group::before`]: a key whose policy lets the account, CloudWatch Logs and Auto Scaling use it, as AWS demands
/// of a key for log groups and disks. Sources:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html>,
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>
const SHARED_KEY: &str = "
def shared_key():
    account = 'arn:aws:iam::123456789012:'
    role = 'role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling'
    users = [{'AWS': account + 'root'}, {'AWS': account + role}, {'Service': 'logs.eu-central-1.amazonaws.com'}]
    use = {'Effect': 'Allow', 'Action': 'kms:*', 'Resource': '*'}
    policy = {'Version': '2012-10-17', 'Statement': [{**use, 'Principal': user} for user in users]}
    return client('kms').create_key(Policy=json.dumps(policy))['KeyMetadata']['Arn']
";

/// One way to change one field.
pub struct Case {
    /// The field first; then what must change with it for the file to hold.
    sets: Vec<(&'static str, &'static str)>,
    /// All that the plan shows, one `action address [field[=new value]]` each.
    plan: Vec<&'static str>,
    /// Whether the plan may show more.
    more: bool,
    /// Words of the refusal.
    refused: Option<&'static str>,
    /// Python expressions, and what they say when all changes of the round are made.
    witness: Vec<(&'static str, &'static str)>,
    /// In which `up` it is made; none: in none.
    round: Option<usize>,
    /// Whether it is made in the later rounds as well.
    stays: bool,
}

/// This field is given this value; an empty one removes it.
pub fn case(field: &'static str, value: &'static str) -> Case {
    Case {
        sets: vec![(field, value)],
        plan: Vec::new(),
        more: false,
        refused: None,
        witness: Vec::new(),
        round: None,
        stays: false,
    }
}

impl Case {
    /// Another field is changed with it.
    pub fn and(mut self, field: &'static str, value: &'static str) -> Self {
        self.sets.push((field, value));
        self
    }

    /// What the plan shows, and nothing else.
    pub fn plan(mut self, lines: &[&'static str]) -> Self {
        self.plan.extend(lines);
        self
    }

    /// What the plan shows among other things.
    pub fn plan_has(self, lines: &[&'static str]) -> Self {
        Case { more: true, ..self.plan(lines) }
    }

    /// The plan is refused, with these words.
    pub fn refused(self, words: &'static str) -> Self {
        Case { refused: Some(words), ..self }
    }

    /// Made in the first `up`; then AWS says this.
    pub fn aws(self, expression: &'static str, value: &'static str) -> Self {
        self.aws_in(1, expression, value)
    }

    /// Made in this `up`; then AWS says this.
    pub fn aws_in(mut self, round: usize, expression: &'static str, value: &'static str) -> Self {
        self.witness.push((expression, value));
        Case { round: Some(round), ..self }
    }

    /// What cannot be taken back.
    pub fn stays(self) -> Self {
        Case { stays: true, ..self }
    }

    /// The fields and their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.sets.iter().map(|(field, value)| (*field, yaml(value)))
    }

    /// The field that the case is about with its value, and the one inside it where that is all that is in it.
    pub fn subject(&self) -> Vec<(String, Value)> {
        let (field, value) = self.values().next().unwrap();
        match &value {
            Value::Object(map) if map.len() > 1 => vec![(field.to_owned(), value)],
            value => values(field, value),
        }
    }

    /// Whether it shows that the field does something; a refusal or an empty plan alone does not.
    pub fn says_something(&self) -> bool {
        !self.plan.is_empty()
    }

    /// Whether AWS is asked for what became of it.
    pub fn reaches_aws(&self) -> bool {
        self.says_something() && !self.witness.is_empty()
    }

    /// Whether it shows that the field alone changes nothing.
    pub fn says_nothing(&self) -> bool {
        self.plan.is_empty() && self.refused.is_none() && self.sets.len() == 1
    }

    fn name(&self) -> String {
        self.sets.iter().map(|(field, value)| format!("{field}: {value}")).collect::<Vec<_>>().join(", ")
    }
}

/// A stack, and fields that are changed in it one by one and together.
pub struct Group {
    /// The stack file.
    pub base: &'static str,
    /// Python that runs before anything is made; prints variables for the environment as a JSON object.
    pub before: &'static str,
    /// Files beside it, and what is in them.
    pub files: &'static [(&'static str, &'static str)],
    /// Variables for the environment.
    pub environment: &'static [(&'static str, &'static str)],
    /// The cases.
    pub cases: Vec<Case>,
}

impl Group {
    /// The file as it is first.
    pub fn base(&self) -> Value {
        yaml(self.base)
    }

    /// Runs all of it, and says all that is wrong.
    pub fn go(self) {
        let world = Provider::new(&self.base().to_string());
        world.sandbox(600);
        let mut environment: BTreeMap<String, String> =
            self.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, text) in self.files {
            let path = world.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        if !self.before.is_empty() {
            let made = world.boto3(&format!("{SHARED_KEY}{}", self.before));
            let made = made.as_object().unwrap().iter();
            environment.extend(made.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
        }
        let mut site = Site { world, environment, problems: Vec::new() };
        site.up("at first");
        let witness = self.cases.iter().flat_map(|case| &case.witness);
        let before = site.ask(&witness.map(|(text, _)| *text).collect::<Vec<_>>());
        for case in &self.cases {
            site.write(&self.base(), case.values());
            site.compare(case);
        }
        let last = self.cases.iter().filter_map(|case| case.round).max();
        for round in 1..=last.unwrap_or_default() {
            let made = |case: &&Case| case.round.is_some_and(|it| it == round || (case.stays && it < round));
            let cases: Vec<&Case> = self.cases.iter().filter(made).collect();
            site.write(&self.base(), cases.iter().flat_map(|case| case.values()));
            site.up(&format!("in round {round}"));
            let cases = cases.into_iter().filter(|case| case.round == Some(round));
            let wanted: Vec<(&Case, &str, &str)> = cases
                .flat_map(|case| case.witness.iter().map(move |(text, value)| (case, *text, *value)))
                .collect();
            let after = site.ask(&wanted.iter().map(|(_, text, _)| *text).collect::<Vec<_>>());
            for (case, text, value) in wanted {
                let (old, new, wanted) = (&before[text], &after[text], site.value(value));
                if *new != wanted {
                    site.problem(case, &format!("AWS: {text} is {new}, not {wanted}"));
                } else if old == new {
                    site.problem(
                        case,
                        &format!("AWS: {text} was {old} before: it says nothing of the field"),
                    );
                }
            }
        }
        assert!(site.problems.is_empty(), "{}", site.problems.join("\n\n"));
    }
}

/// Sets the value at `path`, such as `nodeGroups[0].labels.pool`; null removes it.
pub fn set(root: &mut Value, path: &str, value: Value) {
    let (last, above) = steps(path);
    let mut place = root;
    for step in above {
        place = match step.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[step],
        };
    }
    match (last.parse::<usize>(), value) {
        (Ok(index), value) if index == place.as_array().unwrap().len() => {
            place.as_array_mut().unwrap().push(value);
        }
        (Ok(index), value) => place[index] = value,
        (Err(_), Value::Null) => {
            place.as_object_mut().and_then(|map| map.remove(&last));
        }
        (Err(_), value) => place[last] = value,
    }
}

/// The last step of a path, and those above it.
fn steps(path: &str) -> (String, Vec<String>) {
    let mut steps: Vec<String> =
        path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).collect();
    (steps.pop().unwrap(), steps)
}

/// Where a group is tried.
struct Site {
    world: Provider,
    environment: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Site {
    fn problem(&mut self, case: &Case, text: &str) {
        self.problems.push(format!("{}\n  {text}", case.name()));
    }

    fn write(&self, base: &Value, values: impl Iterator<Item = (&'static str, Value)>) {
        let mut file = base.clone();
        for (path, value) in values {
            set(&mut file, path, value);
        }
        self.world.stack(&file.to_string());
    }

    /// Deletes the records of this folder's stacks, as the hint says: the new stack is meant to exist beside the old one.
    fn forget_stacks(&self) {
        let folder = self.world.path().join("state/sandbox");
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("stack-") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = self.world.command(args);
        command.arg("--sandbox").envs(&self.environment);
        Ended::of(&command.output().unwrap())
    }

    /// Makes it so, and nothing is left to do.
    fn up(&mut self, when: &str) {
        // What holds data is replaced and deleted only on request.
        let plan = self.run(&["plan", "--json"]);
        if plan.err.contains("now describes another stack") {
            self.forget_stacks();
        }
        let lost: Vec<Value> =
            plan.lines("change").into_iter().filter(|change| change["loses"].is_string()).collect();
        let mut args = vec!["up", "--yes", "--timeout", "600s"];
        args.extend(lost.iter().flat_map(|change| ["--replace", change["address"].as_str().unwrap()]));
        let up = self.run(&args);
        assert_eq!(up.code, Some(0), "up {when}:\n{}\n{:#?}", up.err, self.problems);
        let plan = self.run(&["plan", "--json"]);
        if plan.code != Some(0) || plan.out.lines().count() != 1 {
            self.problems.push(format!("a plan behind the up {when}:\n{}{}", plan.out, plan.err));
        }
    }

    /// `${NAME}` in `text` replaced from the environment.
    fn known(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.environment {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        text
    }

    fn value(&self, text: &str) -> Value {
        yaml(&self.known(text))
    }

    fn ask(&self, expressions: &[&str]) -> Value {
        let expressions: BTreeMap<&str, String> =
            expressions.iter().map(|text| (*text, self.known(text))).collect();
        let head = include_str!("witness.py");
        self.world.boto3(&format!("{head}\nanswer(r'''{}''')", json!(expressions)))
    }

    fn compare(&mut self, case: &Case) {
        let plan = self.run(&["plan", "--json"]);
        if let Some(words) = case.refused {
            let words = self.known(words);
            let said = plan.lines("error").iter().any(|line| line.to_string().contains(&words));
            if plan.code != Some(3) || !said {
                self.problem(case, &format!("not refused with {words:?}:\n{}{}", plan.out, plan.err));
            }
            return;
        }
        // What loses data needs a word of its own.
        let loses = plan.lines("change").iter().any(|change| change["loses"].is_string());
        if plan.code != Some(if loses { 3 } else { 0 }) {
            self.problem(case, &format!("no plan:\n{}{}", plan.out, plan.err));
            return;
        }
        let changes = plan.lines("change");
        let shown: BTreeSet<Shown> = changes.iter().flat_map(shown).collect();
        let mut expected = BTreeSet::new();
        for line in &case.plan {
            let line = self.known(line);
            let (action, rest) = line.split_once(' ').unwrap();
            let (address, field) = rest.split_once(' ').unwrap_or((rest, ""));
            let (field, value) =
                field.split_once('=').map_or((field, None), |(field, new)| (field, Some(new)));
            let whole = ["create", "delete"].contains(&action);
            expected.insert((
                action.to_owned(),
                address.to_owned(),
                if whole { String::new() } else { field.to_owned() },
            ));
            let Some(value) = value.map(yaml) else { continue };
            let change = changes.iter().find(|it| it["address"] == address);
            let fields = change.and_then(|it| it["fields"].as_array()).into_iter().flatten();
            let new: Vec<&Value> = fields.filter(|it| it["path"] == field).map(|it| &it["new"]).collect();
            if new != [&value] {
                self.problem(case, &format!("{address}: {field} becomes {new:?}, not {value}"));
            }
        }
        // What a case changes in AWS is named in full; the objects of the cluster that go along are not.
        let in_aws = |address: &str| !address.starts_with("application/") || address == "application/image";
        let lacking: Vec<&Shown> = expected.difference(&shown).collect();
        let beyond: Vec<&Shown> =
            shown.difference(&expected).filter(|it| !case.more && in_aws(&it.1)).collect();
        if !lacking.is_empty() || !beyond.is_empty() {
            self.problem(case, &format!("the plan lacks {lacking:#?}\n  and has {beyond:#?}"));
        }
        let drift: Vec<&Value> = changes.iter().filter(|it| it["origin"] != "file").collect();
        if !drift.is_empty() {
            self.problem(case, &format!("said to be drift: {drift:#?}"));
        }
    }
}

/// Action, address and field; one for each field that an update or a replacement names.
type Shown = (String, String, String);

fn shown(change: &Value) -> Vec<Shown> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (action, address) = (text(&change["action"]), text(&change["address"]));
    let fields = change["fields"].as_array().unwrap();
    if fields.is_empty() || ["create", "delete"].contains(&action.as_str()) {
        return vec![(action, address, String::new())];
    }
    fields.iter().map(|it| (action.clone(), address.clone(), text(&it["path"]))).collect()
}
