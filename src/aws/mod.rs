//! The AWS SDK as the rest of the program sees it: clients, owner tags, error kinds and creates signed at a
//! fixed time.

mod autoscaling_groups;
mod bounded_client;
mod call_hints;
mod claim_volumes;
mod classes;
mod clients;
mod cluster_endpoint;
mod cluster_groups;
mod cluster_versions;
mod context;
mod eks;
mod eks_updates;
mod endpoint_services;
mod endpoints;
mod facts;
mod iam_leftovers;
mod iam_scopes;
mod insights;
mod key_policy;
mod key_state;
mod leftovers;
mod marked_subnets;
mod network_facts;
mod obstacles;
mod permissions;
mod policy_document;
mod preflight;
mod private_key;
mod progress_sink;
mod read_secret;
mod required;
mod retag;
mod sdk_error;
mod swept;
mod tag_calls;
mod tag_queue;
mod tag_together;
mod tags;
mod traces;
mod unreadable;
mod workers;
mod zones;

pub use autoscaling_groups::{AutoscalingGroup, autoscaling_groups, suspended_processes};
pub use bounded_client::MAX_ANSWER_BYTES;
pub use claim_volumes::{ClaimVolume, claim_volumes, is_of_driver};
pub use clients::{AssumedRole, CallerIdentity, Clients, ServiceEndpoint, connect};
pub use cluster_endpoint::{ClusterEndpoint, cluster_endpoint};
pub use cluster_groups::is_created_for;
pub use cluster_versions::{OfferedVersion, SupportDates, kubernetes_versions};
pub use context::{Cx, Local, complete_rules};
pub use eks::{eks_status, issues, launch_trouble};
pub use eks_updates::{EksUpdate, VersionChange, last_version_change};
pub use endpoint_services::endpoint_services;
pub use endpoints::EndpointOverrides;
pub use facts::{
    AddonVersion, addon_schema, addon_versions, bottlerocket_releases, cluster_version, principal,
    public_address,
};
pub use insights::upgrade_blockers;
pub use key_policy::{KeyUser, Verdict, verdict};
pub use key_state::{KeyFacts, KeyFault, described_key, granted_operations, key_suspension, policy_of_key};
pub use leftovers::{
    Left, left_behind, lineages, resources_with_tag, stacks_in_use, state_buckets, state_keys,
    tagged_of_type, unknown,
};
pub use network_facts::{NetworkFacts, SubnetFacts, WayOut, network_facts, subnet_tags_of};
pub use obstacles::{Holdings, Obstacle, blockers, is_of_pods, names_of, obstacles};
pub use permissions::{
    BEFORE_DELETION, CHECKED_BESIDE, CLUSTER, DOCTOR, ELECTION, EVERY_RUN, GIVEN_IMAGES, GIVEN_KEY, NETWORK,
    STATE_KEY,
};
pub use policy_document::{normal, parse};
pub use preflight::{InUse, Machine, count, in_use, machines, quota, refused};
pub use private_key::private_key;
pub use progress_sink::{
    ProgressEvent, ProgressSink, notice, report_accepted, report_progress, with_progress,
};
pub use read_secret::read_secret;
pub use required::{MissingField, optional_text, required, required_text};
pub use retag::{TagTarget, built, dynamodb_list, ecr_list, iam_list, kms_list, retag, s3_list, ssm_list};
pub use sdk_error::{Call, classify, if_found, item_error, operation_of};
pub use swept::{
    GUARDDUTY_TAG, cluster_exists, sweep_cluster_groups, sweep_endpoints, sweep_interfaces, sweep_vpc,
};
pub use tag_calls::tags_by_arn;
pub use tags::{
    MAX_VALUES, Tags, by_owner, ec2_list, ec2_tags, filter, from_ec2, has_tags, resource_of, tag_map, tagged,
};
pub use traces::Traces;
pub use workers::{ClusterMembers, cluster_members, workers};
pub use zones::{Zone, zones};

pub(crate) use context::{signed, single_shot};
