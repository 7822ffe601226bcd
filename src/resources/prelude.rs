//! What nearly every kind uses: `use super::prelude::*`.

pub(super) use super::{
    FoundResource, Lifecycle, TypedLookup,
    handler::{all_resolved, if_resolved, resolved},
    lookups::{address_of, addressed, by_tag, describe_each, has_fields, identified, untagged_ids},
};
pub(super) use crate::{
    aws::{
        Call, Cx, MissingField, TagTarget, Tags, built, by_owner, ec2_tags, filter, from_ec2, if_found,
        optional_text, required, required_text, retag, signed, single_shot, tag_map, tagged,
    },
    model::{
        Blockable, CallError, Changes, Desired, ErrorKind, Field, IamScope, Identity, In, Intent, KindInfo,
        Readiness, Resource, UpdateId, minutes, sorted_set,
    },
};
pub(super) use serde::{Deserialize, Serialize};
pub(super) use std::time::Duration;
