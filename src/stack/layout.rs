//! How the address space of a VPC is divided into subnets.
//!
//! The VPC's block is split into eight equal parts. The first six are the private subnets, one per zone; the
//! seventh is split into eight again for the public subnets; the eighth is reserved. There is space for six
//! zones from the start, so that adding a zone never moves a subnet. In a /16, private subnets are /19 (8,187
//! usable addresses each) and public subnets are /22.

use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// Maximum number of zones.
pub const MAX_ZONES: usize = 6;

/// Longest prefix of a VPC, in bits: its public subnets are /28, the smallest that AWS allows.
pub const MAX_PREFIX: u8 = 22;

/// The block of one subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index of the zone's share, from 0; see [`shares`].
    pub zone_index: usize,
    /// Whether the subnet is public.
    pub public: bool,
    /// The block.
    pub cidr: Ipv4Net,
}

/// Returns the blocks of the subnets of `zones` zones, or `None` if they do not fit into `cidr`.
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

/// Returns each zone's share of the address space, an index from 0. A zone that had a share `before` keeps
/// it, even if other zones are added or removed, because a subnet in use cannot move. The shares of removed
/// zones are reused last.
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
    fn a_zone_keeps_its_share_when_others_are_added_or_removed() {
        let zones = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
            list.iter().map(|(zone, share)| ((*zone).to_owned(), *share)).collect()
        };
        let three = shares(&zones("a b c"), &BTreeMap::new());
        assert_eq!(three, of(&[("a", 0), ("b", 1), ("c", 2)]));
        let two = shares(&zones("c a"), &three);
        assert_eq!(two, three, "the share of b is kept");
        let another = shares(&zones("a d c"), &two);
        assert_eq!(another, of(&[("a", 0), ("b", 1), ("c", 2), ("d", 3)]));
        let full = shares(&zones("d e f g h i"), &another);
        assert_eq!(full, of(&[("d", 3), ("e", 4), ("f", 5), ("g", 0), ("h", 1), ("i", 2)]));
    }

    #[test]
    fn adding_a_zone_moves_no_subnet_and_blocks_do_not_overlap() {
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
