//! Orders that respect dependencies.

use crate::model::CallError;
use std::collections::{BTreeMap, BTreeSet};

/// A topological order of `edges` (item -> what must come before it), smallest first among the free ones.
/// What an item waits for but is not an item itself is ignored.
///
/// # Errors
/// Names the items of a cycle.
pub fn topological<T: Ord + Clone + std::fmt::Display>(
    edges: &BTreeMap<T, BTreeSet<T>>,
) -> Result<Vec<T>, CallError> {
    let mut open: BTreeMap<&T, usize> = BTreeMap::new();
    let mut waiters: BTreeMap<&T, Vec<&T>> = BTreeMap::new();
    for (item, before) in edges {
        let known: Vec<&T> = before.iter().filter(|other| edges.contains_key(*other)).collect();
        open.insert(item, known.len());
        for other in known {
            waiters.entry(other).or_default().push(item);
        }
    }
    let mut free: BTreeSet<&T> =
        open.iter().filter(|(_, count)| **count == 0).map(|(item, _)| *item).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(item) = free.pop_first() {
        open.remove(item);
        order.push(item.clone());
        for waiter in waiters.get(item).into_iter().flatten() {
            if let Some(count) = open.get_mut(waiter) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    free.insert(waiter);
                }
            }
        }
    }
    if open.is_empty() {
        return Ok(order);
    }
    let names: Vec<String> = open.keys().map(ToString::to_string).collect();
    Err(CallError::bug(format!("these wait for each other: {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        pairs.iter().map(|(a, b)| ((*a).into(), b.iter().map(|b| (*b).into()).collect())).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_ties_are_sorted() {
        let order = topological(&edges(&[("a", &["c"]), ("b", &[]), ("c", &["elsewhere"])])).unwrap();
        assert_eq!(order, ["b", "c", "a"]);
    }

    #[test]
    fn a_cycle_is_named() {
        let error = topological(&edges(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])).unwrap_err();
        assert!(error.message.contains("a, b"), "{error}");
    }
}
