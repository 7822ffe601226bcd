//! The tag of the application's image, from the content of its folder.

use super::super::{OperationError, Workspace};
use crate::{
    graph::{ImageTags, builder, platforms},
    image::{BuildMethod, ImagePlatform, survey},
    model::CallError,
};
use serde_json::json;

/// Returns the tag of the application's image. The folder is read each time.
pub(super) async fn image_tags(workspace: &Workspace, more: &[String]) -> Result<ImageTags, OperationError> {
    let Some(app) = &workspace.stack.app else { return Ok(ImageTags::default()) };
    let folder = workspace.folders.project().join(&app.path);
    if !folder.is_dir() {
        let message = format!("folder not found: {}", folder.display());
        let help = Some("set `app.path` to the folder of the application and its Dockerfile".to_owned());
        return Err(workspace.stack.diagnostic("app.path", message, help).into());
    }
    let builder: BuildMethod = CallError::decode("image", &json!(builder(app)))?;
    let platforms: Vec<ImagePlatform> = CallError::decode("image", &json!(platforms(&workspace.stack, app)))?;
    let read = tokio::task::spawn_blocking(move || survey(&folder, builder, &platforms));
    let found = read.await.unwrap_or_else(|error| Err(CallError::bug(error.to_string())))?;
    Ok(ImageTags { content: found.tag, tags: more.to_vec() })
}
