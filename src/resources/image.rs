//! A container image in a repository of the stack.
//!
//! It is built from the application's folder if no image in the repository has the tag that the folder's
//! content gives it, or copied from another registry. A build takes up to minutes, in the create as in the
//! update. Older images stay for the pods that still run them, until the repository's lifecycle policy
//! expires them.

use super::{ecr_repository::REPOSITORIES, prelude::*};
use crate::{
    aws::{item_error, notice},
    image::{self, BuildMethod, ImagePins, ImagePlatform, Remote},
};
use aws_sdk_ecr::{
    operation::batch_delete_image::BatchDeleteImageError,
    types::{ImageFailureCode, ImageIdentifier},
};
use std::collections::BTreeMap;

/// Container image in a repository of the stack, identified by the tag of its content.
pub struct Image;

/// Desired image: what it is built or copied from, and the tags that it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name of the repository.
    pub repository: String,
    /// URI of the repository without a tag, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`.
    pub registry: In<String>,
    /// Tag that stands for the content: the folder's digest, or the copied image's tag with its platforms.
    pub content: String,
    /// Further tags, from the stack file.
    pub tags: Vec<String>,
    /// Whether the repository refuses to move a tag to another image.
    pub immutable_tags: bool,
    /// Folder of the application, relative to the stack file's folder; for a copy, the reference of the
    /// image that is copied.
    pub path: String,
    /// Builder, `python` or `dockerfile`; [`Spec::COPY`] or [`Spec::WHOLE_COPY`] for a copy.
    pub builder: String,
    /// Platforms of the image, such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// What was resolved for the image: base images and packages. Empty if the files pin all of them.
    #[serde(default, skip_serializing_if = "ImagePins::is_empty")]
    pub pins: ImagePins,
}

/// Image as ECR stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Name of the repository that the image is in.
    pub repository: String,
    /// URI of the repository without a tag.
    pub registry: String,
    /// Digest of the image or of its index, `sha256:...`.
    pub digest: String,
    /// Reference for pods: `REGISTRY@DIGEST`.
    pub uri: String,
    /// Tag of the content that it was built or copied from.
    pub content: String,
    /// Wanted tags that it has.
    pub tags: Vec<String>,
    /// Wanted tags that another image of the repository has.
    pub taken: Vec<String>,
}

/// Field [`Live::uri`].
pub const URI: Field = Field::new("uri");

impl Spec {
    /// Value of [`builder`](Self::builder) for an image that is copied from another registry.
    pub const COPY: &'static str = "copy";
    /// Value of [`builder`](Self::builder) for an image that is copied with everything that its index lists: all platforms
    /// and attestations.
    pub const WHOLE_COPY: &'static str = "whole-copy";
}

impl Desired for Spec {
    const KIND: &'static str = Image::KIND;
}

impl Resource for Image {
    const INFO: KindInfo = KindInfo {
        name: "image",
        identity: Identity::Name,
        supplies: &[URI],
        tagged: false,
        part_of: Some(("ecr_repository", "repository")),
        computed_on_update: &["digest", "uri", "content"],
        typical: Duration::from_secs(40),
        iam: &[(
            REPOSITORIES,
            &[
                "ecr:BatchGetImage",
                "ecr:DescribeRepositories",
                "ecr:BatchCheckLayerAvailability",
                "ecr:InitiateLayerUpload",
                "ecr:UploadLayerPart",
                "ecr:CompleteLayerUpload",
                "ecr:PutImage",
                "ecr:BatchDeleteImage",
            ],
        )],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .mutable("repository", &want.repository, &live.repository)
            .mutable("registry", &want.registry, &live.registry)
            .mutable("content", &want.content, &live.content)
            .mutable("tags", &sorted_set(&want.tags), &live.tags)
    }

    fn validate_change(want: &Spec, live: &Live) -> Option<String> {
        if want.repository != live.repository {
            return None;
        }
        // The tags of an image with other content stay with it.
        let old = live.tags.iter().filter(|_| want.content != live.content);
        let held: Vec<&str> = live.taken.iter().chain(old).map(String::as_str).collect();
        (want.immutable_tags && !held.is_empty()).then(|| {
            format!(
                "tag {} belongs to another image, and repository {} has immutable tags: choose another tag",
                held.join(", "),
                want.repository
            )
        })
    }
}

impl Lifecycle for Image {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let looks = asked.iter().map(|asked| find_image(cx, asked));
        let found = futures_util::future::try_join_all(looks).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, _: &Intent) -> Result<(), CallError> {
        make(cx, want).await
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if !serves(want, live) {
            return make(cx, want).await.map(|()| None);
        }
        let more: Vec<String> = want.tags.iter().filter(|tag| !live.tags.contains(tag)).cloned().collect();
        image::give_tags(remote(cx, &want.repository), &live.digest, &more).await.map(|()| None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        // Deletes by tag: an image that another program tagged, too, stays.
        let ids = std::iter::once(&live.content).chain(&live.tags).map(|tag| tag_id(tag)).collect();
        let call = cx.ecr.batch_delete_image().repository_name(&live.repository).set_image_ids(Some(ids));
        let Some(answer) = if_found(call.send().await.call())? else { return Ok(()) };
        let failures = answer.failures.unwrap_or_default();
        let failure = failures.iter().find(|it| it.failure_code != Some(ImageFailureCode::ImageNotFound));
        failure.map_or(Ok(()), |failure| {
            let code = failure.failure_code.as_ref().map(ImageFailureCode::as_str);
            let error = item_error::<BatchDeleteImageError>(code, failure.failure_reason());
            Err(error.class(ErrorKind::Conflict))
        })
    }
}

/// Builds or copies the image, and pushes it. May be repeated: the same content ends under the same tag.
async fn make(cx: &Cx, want: &Spec) -> Result<(), CallError> {
    let platforms = CallError::decode::<Vec<ImagePlatform>>(Image::KIND, &want.platforms.clone().into())?;
    let built = if want.builder == Spec::COPY {
        copy(cx, want, &platforms).await?
    } else if want.builder == Spec::WHOLE_COPY {
        image::copy_whole(&image::Store::in_cache(&cx.local.cache)?, &cx.ecr, &want.path).await?
    } else {
        let inputs = image::ImageInputs {
            folder: cx.local.folder.join(&want.path),
            builder: CallError::decode::<BuildMethod>(Image::KIND, &want.builder.clone().into())?,
            platforms,
            own: cx.local.own.clone(),
            pins: want.pins.clone(),
            cache: Some(cx.local.cache.clone()),
        };
        let ask = image::BuildRequest {
            inputs,
            tag: want.content.clone(),
            cache: cx.local.cache.clone(),
            without_base: cx.local.sandbox,
        };
        image::build(&ask).await?
    };
    let tags: Vec<String> = std::iter::once(&want.content).chain(&want.tags).cloned().collect();
    image::push(remote(cx, &want.repository), &built, &tags).await
}

/// Fetches an image from another registry. On the sandbox, which implements the cluster's controllers itself,
/// their images are empty.
async fn copy(cx: &Cx, want: &Spec, platforms: &[ImagePlatform]) -> Result<image::Built, CallError> {
    let store = image::Store::in_cache(&cx.local.cache)?;
    if cx.local.sandbox {
        notice(&format!("sandbox: an empty image is used for {}", want.path));
        return image::empty(&store, platforms);
    }
    image::copy(&store, &want.path, platforms).await
}

fn remote<'a>(cx: &'a Cx, repository: &'a str) -> Remote<'a> {
    Remote { ecr: &cx.ecr, repository }
}

fn tag_id(tag: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_tag(tag).build()
}

/// Returns whether the image is the wanted one, whatever its tags.
fn serves(want: &Spec, live: &Live) -> bool {
    (&want.repository, &want.content) == (&live.repository, &live.content)
        && want.registry.known().is_none_or(|registry| *registry == live.registry)
}

/// Finds the image with the wanted content, else the recorded one, which may be in another repository.
async fn find_image(cx: &Cx, asked: &TypedLookup<Image>) -> Result<Option<FoundResource<Live>>, CallError> {
    let (want, last) = (asked.want.as_ref(), asked.recorded.as_ref());
    let wanted = want.map(|want| (want.repository.as_str(), want.content.as_str()));
    let recorded = last.map(|last| (last.repository.as_str(), last.content.as_str()));
    let extra = want.map(|want| sorted_set(&want.tags)).or(last.map(|last| last.tags.clone()));
    let extra = extra.unwrap_or_default();
    let Some((first, _)) = wanted.or(recorded) else { return Ok(None) };
    let places = [Some(first), recorded.map(|(repository, _)| repository).filter(|other| *other != first)];
    for repository in places.into_iter().flatten() {
        let here = |(home, tag)| (home == repository).then_some(tag);
        let contents: Vec<&str> =
            [wanted.and_then(here), recorded.and_then(here)].into_iter().flatten().collect();
        let Some(mut live) = search(cx, repository, &contents, &extra).await? else { continue };
        let known = want.and_then(|want| want.registry.known()).filter(|_| repository == first);
        let seen = last.filter(|last| last.repository == repository).map(|last| &last.registry);
        live.registry = match known.or(seen) {
            Some(registry) => registry.clone(),
            None => registry(cx, repository).await?,
        };
        live.uri = format!("{}@{}", live.registry, live.digest);
        return Ok(Some(FoundResource { address: asked.address.clone(), live }));
    }
    Ok(None)
}

/// Returns the image with the first of the tags `contents` that exists, in one call. `registry` and `uri`
/// stay empty.
async fn search(
    cx: &Cx,
    repository: &str,
    contents: &[&str],
    extra: &[String],
) -> Result<Option<Live>, CallError> {
    let ids: Vec<ImageIdentifier> =
        contents.iter().copied().chain(extra.iter().map(String::as_str)).map(tag_id).collect();
    let call = cx.ecr.batch_get_image().repository_name(repository).set_image_ids(Some(ids));
    let call = call.set_accepted_media_types(Some(image::ACCEPTED.map(str::to_owned).into()));
    let Some(answer) = if_found(call.send().await.call())? else { return Ok(None) };
    let ids = answer.images.unwrap_or_default().into_iter().filter_map(|image| image.image_id);
    let by_tag: BTreeMap<String, String> = ids.filter_map(|id| id.image_tag.zip(id.image_digest)).collect();
    let found = contents.iter().find_map(|tag| Some(((*tag).to_owned(), by_tag.get(*tag)?.clone())));
    let Some((content, digest)) = found else { return Ok(None) };
    let held = |mine: bool| {
        let held = extra.iter().filter(|tag| by_tag.get(*tag).is_some_and(|it| (*it == digest) == mine));
        held.cloned().collect()
    };
    Ok(Some(Live {
        repository: repository.to_owned(),
        registry: String::new(),
        uri: String::new(),
        tags: held(true),
        taken: held(false),
        digest,
        content,
    }))
}

async fn registry(cx: &Cx, repository: &str) -> Result<String, CallError> {
    let answer = cx.ecr.describe_repositories().repository_names(repository).send().await;
    answer.read(|answer| {
        let found = answer.repositories.unwrap_or_default().into_iter().next();
        required(found.and_then(|it| it.repository_uri), "repositoryUri")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(content: &str, tags: &[&str]) -> Spec {
        Spec {
            repository: "shop/app".to_owned(),
            registry: In::Known("r/shop/app".to_owned()),
            content: content.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            immutable_tags: true,
            path: "app".to_owned(),
            builder: "python".to_owned(),
            platforms: vec!["linux/amd64".to_owned()],
            pins: ImagePins::default(),
        }
    }

    fn live(content: &str, tags: &[&str], taken: &[&str]) -> Live {
        let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        Live {
            repository: "shop/app".to_owned(),
            registry: "r/shop/app".to_owned(),
            digest: "sha256:a".to_owned(),
            uri: "r/shop/app@sha256:a".to_owned(),
            content: content.to_owned(),
            tags: list(tags),
            taken: list(taken),
        }
    }

    #[test]
    fn everything_changes_without_removing_what_still_runs() {
        let paths = |want: &Spec, live: &Live| -> Vec<(String, bool)> {
            let changes = Image::diff(want, live);
            changes.0.into_iter().map(|change| (change.path, change.forces_replace)).collect()
        };
        assert!(paths(&want("a", &["2", "1"]), &live("a", &["1", "2"], &[])).is_empty());
        assert_eq!(paths(&want("b", &[]), &live("a", &[], &[])), [("content".to_owned(), false)]);
        assert_eq!(paths(&want("a", &["1"]), &live("a", &[], &[])), [("tags".to_owned(), false)]);
        let moved = Spec {
            registry: crate::resources::ecr_repository::URI.of(&"cluster/repository/x".into()),
            ..want("a", &[])
        };
        assert_eq!(paths(&moved, &live("a", &[], &[])), [("registry".to_owned(), false)]);
        // An image in another repository serves the pods until the new one exists.
        let other = Spec { repository: "shop/web".to_owned(), ..want("a", &["1"]) };
        assert!(!serves(&other, &live("a", &[], &[])) && serves(&moved, &live("a", &[], &[])));
        assert_eq!(Image::validate_change(&other, &live("a", &[], &["1"])), None);
    }

    #[test]
    fn a_tag_that_stays_with_its_image_is_refused_before_anything_is_built() {
        let refused = |want: &Spec, live: &Live| Image::validate_change(want, live).is_some();
        assert!(!refused(&want("a", &["1"]), &live("a", &["1"], &[])));
        assert!(refused(&want("a", &["1"]), &live("a", &[], &["1"])));
        assert!(refused(&want("b", &["1"]), &live("a", &["1"], &[])));
        let movable = |content| Spec { immutable_tags: false, ..want(content, &["1"]) };
        assert!(!refused(&movable("b"), &live("a", &["1"], &[])));
        assert!(!refused(&movable("a"), &live("a", &[], &["1"])));
    }
}
