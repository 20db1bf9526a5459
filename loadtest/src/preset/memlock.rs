//! Whether the rings of all workers fit into the memory that may be locked: the server's own doctor
//! knows what they need.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Refuses where they do not, with the command that mends it. A server without a doctor is started
/// and says for itself what it lacks.
pub(super) fn check(
    program: &Path,
    backend: &str,
    workers: usize,
    connections: u64,
) -> Result<(), String> {
    let mut doctor = Command::new(program);
    doctor.args(["doctor", "--json", "--backend", backend, "--workers", &workers.to_string()]);
    let output = doctor.args(["--connections", &connections.to_string()]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    match missing(&serde_json::from_slice(&text).unwrap_or_default(), connections) {
        Some(what) => Err(format!("this host cannot do it:\n  {what}")),
        None => Ok(()),
    }
}

fn missing(verdict: &Value, connections: u64) -> Option<String> {
    let limits = verdict["limits"].as_array()?;
    let limit = limits.iter().find(|limit| limit["name"] == "memlock")?;
    limit["connections"].as_u64().filter(|allowed| *allowed < connections)?;
    let remedy = limit["remedy"].as_str().unwrap_or("--backend epoll");
    let now = limit["now"].as_str()?;
    Some(format!("{now} may be locked, too little for the rings of all workers: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(limits: &str) -> Option<String> {
        let text = format!(r#"{{"limits":[{{"name":"nofile","connections":1}},{limits}]}}"#);
        missing(&serde_json::from_str(&text).expect("it is JSON"), 1000)
    }

    #[test]
    fn too_little_is_refused_with_the_remedy() {
        let little = r#"{"name":"memlock","now":"64 KiB","connections":0,"remedy":"ulimit -l 9"}"#;
        let said_of_it = said(little).expect("it is too little");
        assert!(
            said_of_it.contains("64 KiB") && said_of_it.ends_with("ulimit -l 9"),
            "{said_of_it}"
        );
    }

    #[test]
    fn what_does_not_bind_is_no_reason() {
        let unbound = r#"{"name":"memlock","now":"64 KiB","connections":null,"remedy":null}"#;
        assert_eq!(said(unbound), None);
        assert_eq!(said(r#"{"name":"other","connections":0}"#), None);
        assert_eq!(missing(&Value::Null, 1000), None);
    }
}
