//! What packages have beside the program, made from its own command line: the manual's pages, and
//! completions for shells.

use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config_command::show;

/// Writes the pages of the program and of all its commands into a folder, or prints throng(1).
pub(crate) fn pages(command: Command, folder: Option<&Path>) -> Result<ExitCode, String> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|error| error.to_string())?;
        return Ok(show(&String::from_utf8_lossy(&page)));
    };
    let written = clap_mangen::generate_to(command, folder);
    written.map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what a shell reads to complete words of this command line.
pub(crate) fn completions(mut command: Command, shell: Shell) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    show(&String::from_utf8_lossy(&script))
}
