//! How a VPC's address space is given out.
//!
//! The block is split into eight equal parts. Private subnets take one part each, by zone; the seventh part is split
//! into eight again for the public ones; the eighth stays free. So there is room for six zones from the start, and a zone
//! more never moves a subnet: of a /16, private subnets are /19 (8,187 pods each) and public ones /22.

use ipnet::Ipv4Net;

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

#[cfg(test)]
mod tests {
    use super::*;

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
