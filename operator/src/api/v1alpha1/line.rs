//! How the protocol `Line` answers.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// What listeners of protocol `Line` answer with.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineSpec {
    /// What each answer begins with, before the line itself: at most 256 bytes without line breaks or other control characters but tabs, and
    /// may be empty. `$(POD_NAME)`, `$(POD_NAMESPACE)` and `$(NODE_NAME)` are replaced by the names of the pod, its namespace and its node,
    /// in the same way as in the arguments of a container: with `$(POD_NAME) on $(NODE_NAME): `, the line `hi` is answered by
    /// `hello-6d4cf56db6-x2x7k on node-1: hi`. `$$` stands for one `$`, so `$$(POD_NAME)` is answered as `$(POD_NAME)`. Every other `$`
    /// stays as it is, as in `$(HOME)` or `$5`. The 256 bytes count before names are put in.
    /// Default: `Server received: `. A change rolls the pods.
    #[serde(default = "default_prefix")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::line_prefix())]
    pub prefix: String,
}

impl Default for LineSpec {
    fn default() -> Self {
        Self {
            prefix: default_prefix(),
        }
    }
}

/// What the server of the distributed-systems course answers with.
fn default_prefix() -> String {
    "Server received: ".to_owned()
}
