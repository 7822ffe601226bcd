//! Objects of a sandbox's cluster `shop`, read and changed as kubectl does it.

use super::Provider;
use serde_json::Value;

/// The answer of the cluster's API server; null if there is no such object. With a patch, the call is kubectl's under this
/// field manager.
pub fn kubernetes(world: &Provider, path: &str, patch: Option<(&str, &Value)>) -> Value {
    let token: Value = serde_json::from_str(&world.run(&["token", "--sandbox"]).with(0).out).unwrap();
    let token = token["status"]["token"].as_str().unwrap();
    let (manager, patch) = patch.map_or(("", String::new()), |(manager, patch)| (manager, patch.to_string()));
    world.boto3(&format!(
        "import base64, ssl, urllib.error\n\
         cluster = client('eks').describe_cluster(name='shop')['cluster']\n\
         authority = base64.b64decode(cluster['certificateAuthority']['data']).decode()\n\
         manager, patch = {manager:?}, r'''{patch}'''\n\
         url = cluster['endpoint'] + {path:?} + ('?fieldManager=' + manager if manager else '')\n\
         head = {{'Authorization': 'Bearer {token}', 'Content-Type': 'application/strategic-merge-patch+json'}}\n\
         ask = urllib.request.Request(url, patch.encode() or None, head, method='PATCH' if manager else 'GET')\n\
         try:\n    \
             print(urllib.request.urlopen(ask, context=ssl.create_default_context(cadata=authority)).read().decode())\n\
         except urllib.error.HTTPError as error:\n    \
             assert error.code == 404, error.read()\n    \
             print('null')"
    ))
}
