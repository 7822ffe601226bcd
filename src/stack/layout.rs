//! How a VPC's address space is given out.
//!
//! The block is split into eight equal parts. Private subnets take one part each, by zone; the seventh part is split
//! into eight again for the public ones; the eighth stays free. So there is room for six zones from the start, and a zone
//! more never moves a subnet: of a /16, private subnets are /19 (8,187 pods each) and public ones /22.

use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// How many zones have room.
pub const MAX_ZONES: usize = 6;

/// The longest prefix of a VPC whose public subnets still have AWS's smallest size, /28.
pub const MAX_PREFIX: u8 = 22;

/// One subnet's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which of the zones, from 0.
    pub zone_index: usize,
    /// Whether it is for a public subnet.
    pub public: bool,
    /// The addresses.
    pub cidr: Ipv4Net,
}

/// The blocks for so many zones; none where they do not fit.
pub fn blocks(cidr: Ipv4Net, zones: usize) -> Option<Vec<Block>> {
    if zones > MAX_ZONES || cidr.prefix_len() > MAX_PREFIX {
        return None;
    }
    let parts: Vec<Ipv4Net> = cidr.subnets(cidr.prefix_len().checked_add(3)?).ok()?.collect();
    let shared = parts.get(MAX_ZONES)?;
    let public: Vec<Ipv4Net> = shared.subnets(shared.prefix_len().checked_add(3)?).ok()?.collect();
    let of = |public, list: &[Ipv4Net]| -> Vec<Block> {
        list.iter()
            .take(zones)
            .enumerate()
            .map(|(zone_index, cidr)| Block { zone_index, public, cidr: *cidr })
            .collect()
    };
    Some([of(false, &parts), of(true, &public)].concat())
}

/// Which share each zone has, from 0. One that had a share `before` keeps it whatever comes or goes, since a subnet that
/// is in use cannot move; the share of one that went is given out last.
pub fn shares(zones: &[String], before: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut shares: BTreeMap<String, usize> = before
        .iter()
        .filter(|(zone, _)| zones.contains(zone))
        .map(|(zone, share)| (zone.clone(), *share))
        .collect();
    for zone in zones {
        let free = |share: &usize| !shares.values().any(|taken| taken == share);
        let untouched = |share: &usize| free(share) && !before.values().any(|taken| taken == share);
        let share = (0..MAX_ZONES).find(untouched).or_else(|| (0..MAX_ZONES).find(free));
        if let (None, Some(share)) = (shares.get(zone), share) {
            shares.insert(zone.clone(), share);
        }
    }
    for (zone, share) in before {
        if !shares.values().any(|taken| taken == share) {
            shares.insert(zone.clone(), *share);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_keeps_its_share_whoever_comes_and_goes() {
        let zones = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
            list.iter().map(|(zone, share)| ((*zone).to_owned(), *share)).collect()
        };
        let three = shares(&zones("a b c"), &BTreeMap::new());
        assert_eq!(three, of(&[("a", 0), ("b", 1), ("c", 2)]));
        let two = shares(&zones("c a"), &three);
        assert_eq!(two, three, "b may come back");
        let another = shares(&zones("a d c"), &two);
        assert_eq!(another, of(&[("a", 0), ("b", 1), ("c", 2), ("d", 3)]));
        let full = shares(&zones("d e f g h i"), &another);
        assert_eq!(full, of(&[("d", 3), ("e", 4), ("f", 5), ("g", 0), ("h", 1), ("i", 2)]));
    }

    #[test]
    fn a_zone_more_moves_nothing_and_nothing_overlaps() {
        for prefix in ["10.0.0.0/16", "10.20.0.0/22", "172.16.0.0/20"] {
            let cidr: Ipv4Net = prefix.parse().unwrap();
            let all = blocks(cidr, MAX_ZONES).unwrap();
            for zones in 1..MAX_ZONES {
                assert!(blocks(cidr, zones).unwrap().iter().all(|block| all.contains(block)));
            }
            for (index, one) in all.iter().enumerate() {
                assert!(cidr.contains(&one.cidr) && one.cidr.prefix_len() <= 28, "{one:?}");
                let others = all.iter().skip(index + 1);
                assert!(
                    others
                        .clone()
                        .all(|other| !one.cidr.contains(&other.cidr) && !other.cidr.contains(&one.cidr))
                );
            }
        }
        assert_eq!(blocks("10.0.0.0/23".parse().unwrap(), 3), None);
    }
}
