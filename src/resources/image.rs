//! A container image: the application's, built from its folder when no image in the repository carries the tag that the
//! folder's content gives it; or a copy of another registry's image. A build may last minutes, in the create as in the update. Older images stay, for what still
//! runs them, until the repository's lifecycle policy takes them.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Call, Cx, notice},
    image::{self, Builder, Platform, Remote},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct Image;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The repository's name.
    pub repository: String,
    /// Where its images are pulled from, without a tag.
    pub registry: In<String>,
    /// The tag that its content gives the image: the folder's digest, or the copied image's tag with its platforms.
    pub content: String,
    /// Further tags.
    pub tags: Vec<String>,
    /// Whether a tag of the repository stays with its image.
    pub immutable_tags: bool,
    /// The application's folder, as seen from the stack file's; for a copy the image's reference.
    pub path: String,
    /// Who builds: `python` or `dockerfile`; [`Spec::COPY`]: nobody.
    pub builder: String,
    /// The platforms, as `linux/amd64`.
    pub platforms: Vec<String>,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The repository's name.
    pub repository: String,
    /// See [`Spec::registry`].
    pub registry: String,
    /// The image's digest.
    pub digest: String,
    /// What pods name: registry and digest.
    pub uri: String,
    /// The tag of the content that it was built from.
    pub content: String,
    /// Those of the wanted tags that it has.
    pub tags: Vec<String>,
    /// Those of the wanted tags that other images have.
    pub taken: Vec<String>,
}

impl Spec {
    /// The builder of an image that is copied from another registry.
    pub const COPY: &'static str = "copy";
}

impl Desired for Spec {
    const KIND: &'static str = Image::KIND;
}

impl Resource for Image {
    const KIND: &'static str = "image";
    const IAM: &'static [&'static str] = &[
        "ecr:BatchGetImage",
        "ecr:DescribeRepositories",
        "ecr:BatchCheckLayerAvailability",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
        "ecr:BatchDeleteImage",
    ];
    const IDENTITY: Identity = Identity::Name;
    const TAGGED: bool = false;
    const MOVES: &'static [&'static str] = &["digest", "uri", "content"];
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .mutable("repository", &want.repository, &live.repository)
            .mutable("registry", &want.registry, &live.registry)
            .mutable("content", &want.content, &live.content)
            .mutable("tags", &same_set(&want.tags), &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }

    fn refuse(want: &Spec, live: &Live) -> Option<String> {
        if want.repository != live.repository {
            return None;
        }
        // An image of other content leaves its tags behind.
        let old = live.tags.iter().filter(|_| want.content != live.content);
        let held: Vec<&str> = live.taken.iter().chain(old).map(String::as_str).collect();
        (want.immutable_tags && !held.is_empty()).then(|| {
            format!(
                "the tag {} is another image's, and a tag of the repository {} stays with its image; take another tag",
                held.join(", "),
                want.repository
            )
        })
    }
}

impl Lifecycle for Image {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().map(|asked| look(cx, asked));
        let found = futures_util::future::try_join_all(looks).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, _: &Intent) -> Result<(), Fault> {
        make(cx, want).await
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        if !serves(want, live) {
            return make(cx, want).await;
        }
        let more: Vec<String> = want.tags.iter().filter(|tag| !live.tags.contains(tag)).cloned().collect();
        image::give_tags(remote(cx, &want.repository), &live.digest, &more).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        // By its tags: an image that somebody else tagged stays for them.
        let ids = std::iter::once(&live.content).chain(&live.tags).map(|tag| id(tag)).collect();
        let call = cx.ecr.batch_delete_image().repository_name(&live.repository).set_image_ids(Some(ids));
        let failures = match call.send().await.call("ecr", "BatchDeleteImage") {
            Err(fault) if fault.class == Class::Gone => return Ok(()),
            answer => answer?.failures.unwrap_or_default(),
        };
        let failure = failures.iter().find(|it| it.failure_code != Some(ImageFailureCode::ImageNotFound));
        failure.map_or(Ok(()), |failure| {
            let code = failure.failure_code.as_ref().map_or("", ImageFailureCode::as_str).to_owned();
            let reason = failure.failure_reason.clone().unwrap_or_default();
            Err(Fault { code, ..Fault::new(Class::Conflict, reason) })
        })
    }
}

/// Builds, or fetches, and pushes. The same content ends under the same tag, so that it may be repeated.
async fn make(cx: &Cx, want: &Spec) -> Result<(), Fault> {
    let platforms = Fault::decode::<Vec<Platform>>(Image::KIND, &want.platforms.clone().into())?;
    let built = if want.builder == Spec::COPY {
        copy(cx, want, &platforms).await?
    } else {
        let ask = image::Ask {
            folder: cx.local.folder.join(&want.path),
            builder: Fault::decode::<Builder>(Image::KIND, &want.builder.clone().into())?,
            platforms,
            tag: want.content.clone(),
            cache: cx.local.cache.clone(),
            without_base: cx.local.sandbox,
        };
        image::build(&ask).await?
    };
    let tags: Vec<String> = std::iter::once(&want.content).chain(&want.tags).cloned().collect();
    image::push(remote(cx, &want.repository), &built, &tags).await
}

/// What is copied are the controllers of clusters, whose work in the sandbox is the sandbox's own.
async fn copy(cx: &Cx, want: &Spec, platforms: &[Platform]) -> Result<image::Built, Fault> {
    let store = image::Store::new(&cx.local.cache.join("image"));
    if cx.local.sandbox {
        notice(&format!("in the sandbox an empty image stands for {}", want.path));
        return image::empty(&store, platforms);
    }
    image::copy(&store, &want.path, platforms).await
}

fn remote<'a>(cx: &'a Cx, repository: &'a str) -> Remote<'a> {
    Remote { ecr: &cx.ecr, repository }
}

fn id(tag: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_tag(tag).build()
}

/// Whether it is the image that is asked for, whatever its tags.
fn serves(want: &Spec, live: &Live) -> bool {
    (&want.repository, &want.content) == (&live.repository, &live.content)
        && want.registry.known().is_none_or(|registry| *registry == live.registry)
}

/// The image of the wanted content, else the recorded one, which may be in another repository.
async fn look(cx: &Cx, asked: &Asked<Image>) -> Result<Option<Found<Live>>, Fault> {
    let (want, last) = (asked.want.as_ref(), asked.last.as_ref());
    let wanted = want.map(|want| (want.repository.as_str(), want.content.as_str()));
    let recorded = last.map(|last| (last.repository.as_str(), last.content.as_str()));
    let extra = want.map(|want| same_set(&want.tags)).or(last.map(|last| last.tags.clone()));
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
        return Ok(Some(Found { address: asked.address.clone(), live }));
    }
    Ok(None)
}

/// The image under the first of `contents` that one has, in one call; where it is pulled from is left open.
async fn search(
    cx: &Cx,
    repository: &str,
    contents: &[&str],
    extra: &[String],
) -> Result<Option<Live>, Fault> {
    let ids: Vec<ImageIdentifier> =
        contents.iter().copied().chain(extra.iter().map(String::as_str)).map(id).collect();
    let call = cx.ecr.batch_get_image().repository_name(repository).set_image_ids(Some(ids));
    let call = call.set_accepted_media_types(Some(image::ACCEPTED.map(str::to_owned).into()));
    let images = match call.send().await.call("ecr", "BatchGetImage") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.images.unwrap_or_default(),
    };
    let ids = images.into_iter().filter_map(|image| image.image_id);
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

async fn registry(cx: &Cx, repository: &str) -> Result<String, Fault> {
    let answer = cx.ecr.describe_repositories().repository_names(repository).send().await;
    let found = answer.call("ecr", "DescribeRepositories")?.repositories.unwrap_or_default();
    Ok(found.into_iter().next().and_then(|it| it.repository_uri).unwrap_or_default())
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
        let moved = Spec { registry: In::of(&"cluster/repository/x".into(), "uri"), ..want("a", &[]) };
        assert_eq!(paths(&moved, &live("a", &[], &[])), [("registry".to_owned(), false)]);
        // An image in another repository serves pods until theirs is there.
        let other = Spec { repository: "shop/web".to_owned(), ..want("a", &["1"]) };
        assert!(!serves(&other, &live("a", &[], &[])) && serves(&moved, &live("a", &[], &[])));
        assert_eq!(Image::refuse(&other, &live("a", &[], &["1"])), None);
    }

    #[test]
    fn a_tag_that_stays_with_its_image_is_refused_before_anything_is_built() {
        let refused = |want: &Spec, live: &Live| Image::refuse(want, live).is_some();
        assert!(!refused(&want("a", &["1"]), &live("a", &["1"], &[])));
        assert!(refused(&want("a", &["1"]), &live("a", &[], &["1"])));
        assert!(refused(&want("b", &["1"]), &live("a", &["1"], &[])));
        let movable = |content| Spec { immutable_tags: false, ..want(content, &["1"]) };
        assert!(!refused(&movable("b"), &live("a", &["1"], &[])));
        assert!(!refused(&movable("a"), &live("a", &[], &["1"])));
    }
}
