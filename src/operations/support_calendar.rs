//! When EKS's support of the cluster's Kubernetes minor ends, and what happens then.

use crate::{aws::SupportDates, model::Snapshot, stack::cluster::UpgradePolicy};
use serde_json::json;
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

/// The key of the dates in the state's outputs.
const SUPPORT: &str = "support";

/// How many days before the end of support it is said.
const NOTICE_DAYS: i64 = 60;

/// What is to be said about the end of support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportNotice {
    /// Whether standard support is over, and the cluster does not pay for more.
    pub is_over: bool,
    /// For people.
    pub text: String,
}

/// Records the dates in the state.
pub fn record_support(snapshot: &mut Snapshot, dates: &SupportDates) {
    snapshot.outputs.insert(SUPPORT.to_owned(), json!(dates));
}

/// Returns the recorded dates of a minor.
pub fn recorded_support(snapshot: &Snapshot, version: &str) -> Option<SupportDates> {
    let dates: SupportDates = serde_json::from_value(snapshot.outputs.get(SUPPORT)?.clone()).ok()?;
    (dates.version == version).then_some(dates)
}

/// Returns the day of today, UTC.
pub fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

/// Returns what is to be said about the end of support: from 60 days before it.
pub fn support_notice(dates: &SupportDates, policy: UpgradePolicy, today: Date) -> Option<SupportNotice> {
    let (version, end) = (&dates.version, dates.standard.as_ref()?);
    let left = (Date::parse(end, &Iso8601::DATE).ok()? - today).whole_days();
    if left > NOTICE_DAYS {
        return None;
    }
    let extended = policy == UpgradePolicy::Extended;
    let until = dates.extended.as_ref().map_or_else(String::new, |end| format!(" until {end}"));
    let (verb, then) = match (left < 0, extended) {
        (false, true) => ("ends", format!("then extended support{until} costs more per hour")),
        (false, false) => ("ends", "then EKS upgrades the cluster".to_owned()),
        (true, true) => ("ended", format!("extended support{until} costs more per hour")),
        (true, false) => ("ended", "EKS upgrades the cluster".to_owned()),
    };
    Some(SupportNotice {
        is_over: left < 0 && !extended,
        text: format!(
            "standard support of Kubernetes {version} {verb} on {end}: {then}; set a newer `cluster.version`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    #[test]
    fn the_end_of_support_is_said_from_sixty_days_before() {
        let end = Date::from_calendar_date(2027, time::Month::March, 27).unwrap();
        let dates = SupportDates {
            version: "1.35".to_owned(),
            standard: Some(end.to_string()),
            extended: Some((end + Duration::days(365)).to_string()),
        };
        let said =
            |left: i64, policy: UpgradePolicy| support_notice(&dates, policy, end - Duration::days(left));
        assert_eq!(said(61, UpgradePolicy::Standard), None);
        let near = said(60, UpgradePolicy::Standard).unwrap();
        assert!(
            !near.is_over && near.text.contains("ends on 2027-03-27: then EKS upgrades"),
            "{}",
            near.text
        );
        assert!(!said(0, UpgradePolicy::Standard).unwrap().is_over, "the last day is supported");
        let over = said(-1, UpgradePolicy::Standard).unwrap();
        assert!(over.is_over && over.text.contains("ended on 2027-03-27"), "{}", over.text);
        let paid = said(-1, UpgradePolicy::Extended).unwrap();
        assert!(!paid.is_over && paid.text.contains("until 2028-03-26 costs more"), "{}", paid.text);
        let unknown = SupportDates { standard: None, ..dates };
        assert_eq!(support_notice(&unknown, UpgradePolicy::Standard, end), None);
    }
}
