//! Configuration, manifest and index of an image, in OCI's form.
//! Source: <https://github.com/opencontainers/image-spec/blob/main/spec.md>

use super::{Blob, Platform, base::Base, blob::digest, dockerfile::Stage, layer::Layer};
use serde_json::{Map, Value, json};

/// The media type of a configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What Docker calls a manifest, and a list of them.
/// Source: <https://distribution.github.io/distribution/spec/manifest-v2-2/>
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The label of an image that stands on nothing.
pub const BASE: &str = "provisioner.base";

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its digest.
    pub digest: String,
    /// What it is.
    pub media_type: String,
    /// Its text, to the byte.
    pub text: String,
}

impl Document {
    fn new(media_type: &str, value: &Value) -> Self {
        let text = value.to_string();
        Document { digest: digest(text.as_bytes()), media_type: media_type.to_owned(), text }
    }
}

/// The configuration of an image: the base's, with what the Dockerfile says over it.
pub fn config(base: &Base, stage: &Stage, platform: Platform, layers: &[(&Layer, &str)]) -> Blob {
    let mut settings = base.config.as_object().cloned().unwrap_or_default();
    // Docker's own, which mean nothing to who runs it.
    settings.retain(|name, _| KNOWN.contains(&name.as_str()));
    settings.insert("Env".to_owned(), json!(environment(settings.get("Env"), &stage.env)));
    let mut labels = object(settings.get("Labels"));
    labels.extend(stage.labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    if base.digest.is_none() {
        labels.insert(BASE.to_owned(), json!("none"));
    }
    let mut ports = object(settings.get("ExposedPorts"));
    ports.extend(stage.ports.iter().map(|port| (port.clone(), json!({}))));
    for (name, value) in [("Labels", labels), ("ExposedPorts", ports)] {
        if value.is_empty() {
            settings.remove(name);
        } else {
            settings.insert(name.to_owned(), Value::Object(value));
        }
    }
    if let Some(program) = &stage.entrypoint {
        settings.insert("Entrypoint".to_owned(), json!(program));
        // The base's arguments were for the base's program.
        settings.remove("Cmd");
    }
    let one = [
        ("Cmd", stage.cmd.as_ref().map(|cmd| json!(cmd))),
        ("User", stage.user.as_ref().map(|user| json!(user))),
        ("WorkingDir", stage.folder.as_ref().map(|folder| json!(folder))),
        ("StopSignal", stage.stop_signal.as_ref().map(|signal| json!(signal))),
    ];
    for (name, value) in one {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    }
    let diff_ids: Vec<&String> =
        base.diff_ids.iter().chain(layers.iter().map(|(layer, _)| &layer.diff_id)).collect();
    let of_base = base.digest.iter().flat_map(|digest| {
        base.layers.iter().map(move |_| json!({"created": BEGINNING, "created_by": format!("base {digest}")}))
    });
    let own = layers.iter().map(|(_, by)| json!({"created": BEGINNING, "created_by": by}));
    let mut whole = json!({
        "architecture": platform.architecture(), "os": "linux", "created": BEGINNING, "config": settings,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": of_base.chain(own).collect::<Vec<_>>(),
    });
    if let (Some(variant), Some(map)) = (&base.variant, whole.as_object_mut()) {
        map.insert("variant".to_owned(), json!(variant));
    }
    Blob::memory(CONFIG, whole.to_string().into_bytes())
}

/// The configuration of an image whose one layer is empty.
pub fn nothing(platform: Platform, layer: &Layer) -> Blob {
    let base = Base::default();
    config(&base, &Stage::default(), platform, &[(layer, "nothing")])
}

/// No image tells when it was made: the same one may be made again.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// The settings of a configuration that OCI knows.
const KNOWN: [&str; 9] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn environment(base: Option<&Value>, own: &[(String, String)]) -> Vec<String> {
    let base = base.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    let mut all: Vec<String> = base.map(str::to_owned).collect();
    for (key, value) in own {
        let pair = format!("{key}={value}");
        match all.iter_mut().find(|old| name(old) == *key) {
            Some(old) => *old = pair,
            None => all.push(pair),
        }
    }
    all
}

fn descriptor(blob: &Blob) -> Value {
    json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size})
}

/// The manifest of one platform's image.
pub fn manifest(config: &Blob, layers: &[Blob]) -> Document {
    let layers: Vec<Value> = layers.iter().map(descriptor).collect();
    Document::new(
        MANIFEST,
        &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config), "layers": layers}),
    )
}

/// The index over the images of several platforms.
pub fn index(images: &[(Platform, Document)]) -> Document {
    let images: Vec<Value> = images
        .iter()
        .map(|(platform, image)| {
            json!({
                "mediaType": image.media_type, "digest": image.digest, "size": image.text.len(),
                "platform": {"os": "linux", "architecture": platform.architecture()},
            })
        })
        .collect();
    // Not every registry takes the one kind of list over the other kind of manifests.
    let docker = images.iter().all(|image| image.get("mediaType") == Some(&json!(DOCKER_MANIFEST)));
    let kind = if docker { DOCKER_LIST } else { INDEX };
    Document::new(kind, &json!({"schemaVersion": 2, "mediaType": kind, "manifests": images}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        Layer {
            diff_id: digest(text.as_bytes()),
            blob: Blob::memory(super::super::layer::GZIPPED, text.into()),
        }
    }

    #[test]
    fn settings_stand_over_those_of_the_base() {
        let below = layer("below");
        let base = Base {
            digest: Some("sha256:base".to_owned()),
            config: json!({
                "Env": ["PATH=/bin", "A=base"], "Entrypoint": ["/base"], "Cmd": ["base"], "User": "0", "Image": "sha256:x",
                "Labels": {"a": "base", "b": "base"}, "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/",
            }),
            variant: Some("v8".to_owned()),
            diff_ids: vec![below.diff_id.clone()],
            layers: vec![below.blob],
        };
        let mut stage = Stage {
            env: vec![("A".to_owned(), "own".to_owned()), ("B".to_owned(), "b".to_owned())],
            labels: [("a".to_owned(), "own".to_owned())].into(),
            ports: ["8000/tcp".to_owned()].into(),
            user: Some("65532".to_owned()),
            entrypoint: Some(vec!["/own".to_owned()]),
            ..Stage::default()
        };
        let (own, made) = (layer("own"), |base: &Base, stage: &Stage| {
            let own = layer("own");
            let blob = config(base, stage, Platform::Arm64, &[(&own, "why")]);
            serde_json::from_slice::<Value>(&blob.part(0, blob.size).unwrap()).unwrap()
        });
        let found = made(&base, &stage);
        assert_eq!(
            found,
            json!({
                "architecture": "arm64", "variant": "v8", "os": "linux", "created": BEGINNING,
                "config": {
                    "Env": ["PATH=/bin", "A=own", "B=b"], "Entrypoint": ["/own"], "User": "65532", "WorkingDir": "/",
                    "Labels": {"a": "own", "b": "base"}, "ExposedPorts": {"80/tcp": {}, "8000/tcp": {}},
                },
                "rootfs": {"type": "layers", "diff_ids": [below.diff_id, own.diff_id]},
                "history": [
                    {"created": BEGINNING, "created_by": "base sha256:base"}, {"created": BEGINNING, "created_by": "why"},
                ],
            })
        );
        stage.entrypoint = None;
        assert_eq!(made(&base, &stage)["config"]["Cmd"], json!(["base"]));
        stage.cmd = Some(vec!["own".to_owned()]);
        assert_eq!(made(&base, &stage)["config"]["Cmd"], json!(["own"]));
        assert_eq!(made(&Base::default(), &stage)["config"]["Labels"][BASE], "none");
    }

    #[test]
    fn a_document_is_named_by_its_bytes() {
        let (config, own) = (Blob::memory(CONFIG, b"{}".to_vec()), layer("own"));
        let image = manifest(&config, &[own.blob]);
        assert_eq!(image.digest, digest(image.text.as_bytes()));
        let value: Value = serde_json::from_str(&image.text).unwrap();
        assert_eq!(value["config"]["size"], 2);
        assert_eq!(value["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let both = index(&[(Platform::Amd64, image.clone()), (Platform::Arm64, image.clone())]);
        let value: Value = serde_json::from_str(&both.text).unwrap();
        assert_eq!(value["manifests"][1]["platform"], json!({"os": "linux", "architecture": "arm64"}));
        assert_eq!(value["manifests"][0]["digest"], json!(image.digest));
        let docker = Document { media_type: DOCKER_MANIFEST.to_owned(), ..image };
        assert_eq!(index(&[(Platform::Amd64, docker)]).media_type, DOCKER_LIST);
    }
}
