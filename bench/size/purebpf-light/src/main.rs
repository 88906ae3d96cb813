//! Loads an object by its loader program, attaches its program, waits.

use purebpf::attach::Tracepoint;
use purebpf::light::LightOptions;

#[allow(unreachable_pub, reason = "generated for the API of a library as well")]
mod minimal {
    include!("../../../../tests/bpf/minimal.light.rs");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let object = minimal::load(&LightOptions::new())?;
    // What a section says is for those who do not know what they attach to.
    let getpgid = Tracepoint::new("syscalls", "sys_enter_getpgid");
    let _link = object.program("count")?.attach(getpgid)?;
    println!("attached");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
