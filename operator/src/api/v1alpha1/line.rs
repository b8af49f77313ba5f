//! How the protocol `Line` answers.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// How listeners of protocol `Line` answer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineSpec {
    /// The prefix of each answer, before the line itself: at most 256 bytes without line breaks or other control characters except tabs.
    /// May be empty. `$(POD_NAME)`, `$(POD_NAMESPACE)` and `$(NODE_NAME)` are replaced by the names of the pod, its namespace and its node,
    /// as in the arguments of a container: with `$(POD_NAME) on $(NODE_NAME): `, the line `hi` is answered by `hello-6d4cf56db6-x2x7k on
    /// node-1: hi`. `$$` stands for one `$`, so `$$(POD_NAME)` is answered as `$(POD_NAME)`. Any other `$` is unchanged, as in `$(HOME)` or
    /// `$5`. The limit of 256 bytes applies before expansion. Default: `Server received: `. Changing it triggers a rolling update.
    #[serde(default = "default_prefix")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::line_prefix_is_one_line(), validation = rules::line_prefix_is_short())]
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
