//! Creates and operates a production EKS environment and the application on it, from one file, through the AWS API.
//!
//! A pure core decides, and an imperative shell acts. `stack.yaml` becomes a [`stack::Stack`], a `Stack` becomes a graph
//! of desired resources ([`graph`]), and the graph, the recorded state and the live resources become a plan ([`plan`]),
//! which the [`engine`] carries out. [`operations`] is how a program does all of that; the command line is one.
//!
//! | room | holds | may use |
//! |---|---|---|
//! | [`model`] | pure: the types that every layer shares | nothing |
//! | [`stack`] | pure: `stack.yaml` to `Stack` | model |
//! | [`graph`] | pure: which resources exist | model, stack, the resources' `Spec` types |
//! | [`plan`] | pure: what has to be done | model |
//! | [`resources`] | one file per kind | model, aws, kube, image |
//! | [`aws`] | clients, error classes, tags | model, os |
//! | [`os`] | files and programs of this machine | nothing |
//! | [`kube`] | the cluster's own API | model, aws |
//! | [`image`] | container images: what determines an image, its layers, the upload to ECR | model, aws, os |
//! | [`store`] | state and lease | model, aws, os |
//! | [`engine`] | observes, runs, journals and waits | model, plan, resources, aws, store |
//! | [`operations`] | plan, up, down, status and the rest as functions of values | all above |
//! | [`sandbox`] | the AWS-compatible server on loopback | model, os |
//! | [`ui`] | progress, plans and errors, as text or as JSON lines | model |
//! | [`cli`] | one file per command: its arguments, a call, what is printed | operations, ui, model; os, plan, stack, sandbox |

pub mod aws;
pub mod cli;
pub mod engine;
pub mod graph;
pub mod image;
pub mod kube;
pub mod model;
pub mod operations;
pub mod os;
pub mod plan;
pub mod resources;
pub mod sandbox;
pub mod stack;
pub mod store;
pub mod ui;
