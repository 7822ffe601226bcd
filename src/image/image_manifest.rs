//! Writes the configuration, manifest and index of an image in the OCI format.
//! Source: <https://github.com/opencontainers/image-spec/blob/main/spec.md>

use super::{Blob, ImagePlatform, base::Base, blob::digest, build_stage::BuildStage, layer::Layer};
use serde_json::{Map, Value, json};

/// Media type of a configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media types of Docker's manifest, and of its list of manifests.
/// Source: <https://distribution.github.io/distribution/spec/manifest-v2-2/>
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Label that marks an image with an empty base.
pub const BASE: &str = "provisioner.base";

/// A manifest or an index, ready to be pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Digest of its text.
    pub digest: String,
    /// Media type.
    pub media_type: String,
    /// The JSON text, whose bytes the digest names.
    pub text: String,
}

impl Document {
    fn new(media_type: &str, value: &Value) -> Self {
        let text = value.to_string();
        Document { digest: digest(text.as_bytes()), media_type: media_type.to_owned(), text }
    }
}

/// Returns the configuration of an image: that of the base, overridden by the settings of the Dockerfile.
pub fn config(base: &Base, stage: &BuildStage, platform: ImagePlatform, layers: &[(&Layer, &str)]) -> Blob {
    let mut settings = base.config.as_object().cloned().unwrap_or_default();
    // Settings of Docker's own mean nothing to a container runtime.
    settings.retain(|name, _| KNOWN.contains(&name.as_str()));
    settings.insert("Env".to_owned(), json!(environment(settings.get("Env"), &stage.env)));
    let mut labels = object(settings.get("Labels"));
    labels.extend(stage.labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    if base.digest.is_none() {
        labels.insert(BASE.to_owned(), json!("none"));
    }
    let mut ports = object(settings.get("ExposedPorts"));
    ports.extend(stage.ports.iter().map(|port| (port.clone(), json!({}))));
    let mut volumes = object(settings.get("Volumes"));
    volumes.extend(stage.volumes.iter().map(|path| (path.clone(), json!({}))));
    for (name, value) in [("Labels", labels), ("ExposedPorts", ports), ("Volumes", volumes)] {
        if value.is_empty() {
            settings.remove(name);
        } else {
            settings.insert(name.to_owned(), Value::Object(value));
        }
    }
    if let Some(program) = &stage.entrypoint {
        settings.insert("Entrypoint".to_owned(), json!(program));
        // The arguments of the base are meant for the program of the base.
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

/// Returns the configuration of an image whose only layer is empty.
pub fn nothing(platform: ImagePlatform, layer: &Layer) -> Blob {
    let base = Base::default();
    config(&base, &BuildStage::default(), platform, &[(layer, "nothing")])
}

/// Creation time of every image. The real time would give each build another digest.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// Settings of a configuration that the OCI specification defines.
const KNOWN: [&str; 9] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];

/// Search path of a base that sets none.
/// Source: <https://github.com/moby/moby/blob/master/daemon/pkg/oci/defaults.go>
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn environment(base: Option<&Value>, own: &[(String, String)]) -> Vec<String> {
    let base = base.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    let mut all: Vec<String> = base.map(str::to_owned).collect();
    let path = all.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH).to_owned();
    for (key, value) in own {
        let pair = format!("{key}={}", value.replace("${PATH}", &path));
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

/// Returns the manifest of the image for one platform.
pub fn manifest(config: &Blob, layers: &[Blob]) -> Document {
    let layers: Vec<Value> = layers.iter().map(descriptor).collect();
    Document::new(
        MANIFEST,
        &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config), "layers": layers}),
    )
}

/// Returns the index of the images for several platforms.
pub fn index(images: &[(ImagePlatform, Document)]) -> Document {
    let images: Vec<Value> = images
        .iter()
        .map(|(platform, image)| {
            json!({
                "mediaType": image.media_type, "digest": image.digest, "size": image.text.len(),
                "platform": {"os": "linux", "architecture": platform.architecture()},
            })
        })
        .collect();
    // Not every registry accepts an index in one format over manifests in the other.
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
    fn settings_override_those_of_the_base() {
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
        let mut stage = BuildStage {
            env: [("A", "own"), ("B", "b"), ("P", "/x:${PATH}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            labels: [("a".to_owned(), "own".to_owned())].into(),
            ports: ["8000/tcp".to_owned()].into(),
            user: Some("65532".to_owned()),
            entrypoint: Some(vec!["/own".to_owned()]),
            ..BuildStage::default()
        };
        let (own, made) = (layer("own"), |base: &Base, stage: &BuildStage| {
            let own = layer("own");
            let blob = config(base, stage, ImagePlatform::Arm64, &[(&own, "why")]);
            serde_json::from_slice::<Value>(&blob.part(0, blob.size).unwrap()).unwrap()
        });
        let found = made(&base, &stage);
        assert_eq!(
            found,
            json!({
                "architecture": "arm64", "variant": "v8", "os": "linux", "created": BEGINNING,
                "config": {
                    "Env": ["PATH=/bin", "A=own", "B=b", "P=/x:/bin"], "Entrypoint": ["/own"], "User": "65532", "WorkingDir": "/",
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
    fn a_document_has_the_digest_of_its_text() {
        let (config, own) = (Blob::memory(CONFIG, b"{}".to_vec()), layer("own"));
        let image = manifest(&config, &[own.blob]);
        assert_eq!(image.digest, digest(image.text.as_bytes()));
        let value: Value = serde_json::from_str(&image.text).unwrap();
        assert_eq!(value["config"]["size"], 2);
        assert_eq!(value["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let both = index(&[(ImagePlatform::Amd64, image.clone()), (ImagePlatform::Arm64, image.clone())]);
        let value: Value = serde_json::from_str(&both.text).unwrap();
        assert_eq!(value["manifests"][1]["platform"], json!({"os": "linux", "architecture": "arm64"}));
        assert_eq!(value["manifests"][0]["digest"], json!(image.digest));
        let docker = Document { media_type: DOCKER_MANIFEST.to_owned(), ..image };
        assert_eq!(index(&[(ImagePlatform::Amd64, docker)]).media_type, DOCKER_LIST);
    }
}
