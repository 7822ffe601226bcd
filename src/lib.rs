//! `provisioner`: one file, one binary; a production EKS environment and the application on it, straight through the
//! AWS API.
//!
//! A pure core decides, an imperative shell acts. `stack.yaml` becomes a [`stack::Stack`], that becomes a graph of
//! desired resources ([`graph`]), and the graph beside the recorded state and what is live becomes a plan ([`plan`]),
//! which the [`engine`] carries out.
//!
//! | room | | knows |
//! |---|---|---|
//! | [`model`] | pure: the words every layer shares | nothing |
//! | [`stack`] | pure: `stack.yaml` to `Stack` | model |
//! | [`graph`] | pure: which resources exist | model, stack, the resources' `Spec` types |
//! | [`plan`] | pure: what is to be done | model |
//! | [`resources`] | one file a kind | model, aws, kube, image |
//! | [`aws`] | clients, error classes, tags | model |
//! | [`kube`] | the cluster's own API | model, aws |
//! | [`image`] | container images: what decides one, its layers, the way to ECR | model, aws |
//! | [`store`] | state and lease | model, aws |
//! | [`engine`] | observes, runs, journals, waits | model, plan, resources, aws, store |
//! | [`sandbox`] | the AWS on loopback | model |
//! | [`ui`] | what people and programs see | model |
//! | [`cli`] | one file a command | all |

pub mod aws;
pub mod cli;
pub mod engine;
pub mod graph;
pub mod image;
pub mod kube;
pub mod model;
pub mod plan;
pub mod resources;
pub mod sandbox;
pub mod stack;
pub mod store;
pub mod ui;
