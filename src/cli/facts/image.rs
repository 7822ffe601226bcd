//! What the application's folder says of its image.

use super::{Failure, Session};
use crate::{
    graph::{Image, builder, platforms},
    image::{Builder, Platform, survey},
    model::Fault,
};
use serde_json::json;
use std::path::{Path, PathBuf};

impl Session {
    /// The stack file's folder.
    pub fn folder(&self) -> PathBuf {
        self.global.stack.parent().map_or_else(PathBuf::new, Path::to_path_buf)
    }

    /// The tag that the folder's content gives the image: read anew each time.
    pub(super) async fn image(&self) -> Result<Image, Failure> {
        let Some(app) = &self.stack.app else { return Ok(Image::default()) };
        let folder = self.folder().join(&app.path);
        if !folder.is_dir() {
            let message = format!("there is no folder {}", folder.display());
            let help =
                Some("it holds the application, with a Dockerfile that describes its image".to_owned());
            return Err(self.stack.diagnostic("app.path", message, help).into());
        }
        let builder: Builder = Fault::decode("image", &json!(builder(app)))?;
        let platforms: Vec<Platform> = Fault::decode("image", &json!(platforms(&self.stack, app)))?;
        let read = tokio::task::spawn_blocking(move || survey(&folder, builder, &platforms));
        let found = read.await.unwrap_or_else(|error| Err(Fault::bug(error.to_string())))?;
        Ok(Image { content: found.tag, tags: self.image_tags.clone() })
    }
}
