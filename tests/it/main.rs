//! The integration tests: one program, so that the library and the AWS SDK are linked once, and so that what waits for
//! a sandbox in one module runs beside what waits in another. `cargo test --test it MODULE::` runs one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod agreement;
mod api_coverage;
mod app;
mod app_settings;
mod application;
mod apps;
mod assumed_role;
mod auto_mode;
mod backend;
mod beforehand;
mod benchmark;
mod book;
mod bytes;
mod calls;
mod cluster_leftovers;
mod common;
mod crash;
mod denied_looks;
mod doctor;
mod examples;
mod extends;
mod field_owners;
mod fields;
mod first_commands;
mod graph;
mod hostile_folder;
mod image;
mod image_base;
mod init;
mod jobs;
mod kube;
mod kube_client;
mod left_behind;
mod lifecycle;
mod lived_in;
mod lock_model;
mod manifest_secrets;
mod operations;
mod order;
mod outage;
mod ownership;
mod ownership_chains;
mod ownership_table;
mod packing;
mod pipelines;
mod plan_formats;
mod policy;
mod prompts;
mod role_tags;
mod rollouts;
mod sandbox;
mod sandbox_record;
mod second_aws;
mod stack;
mod state;
mod state_files;
mod storms;
mod strays;
mod tenants;
mod trouble;
mod updates;
mod upgrade;
mod web_services;
