//! Media types of images.

/// Media types of manifests and indexes that ECR accepts, and that a pull asks for.
/// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html>
pub const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
