//! The crates that `xgre` and its kernel programs are made of, in [`CycloneDX`](https://cyclonedx.org/) 1.5: what
//! is linked in, and what ran during the build.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
};

use anyhow::{Context, Result, anyhow, ensure};
use cargo_metadata::{
    DepKindInfo, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId,
};
use cyclonedx_bom::{
    external_models::{spdx::SpdxExpression, uri::Purl},
    models::{
        component::{Classification, Component, Components},
        dependency::{Dependencies, Dependency},
        hash::{Hash, HashAlgorithm, HashValue, Hashes},
        license::{LicenseChoice, Licenses},
        metadata::Metadata as About,
    },
    prelude::{Bom, SpecVersion, Validate},
};
use serde::Deserialize;

use crate::{toolchain, workspace::Workspace};

/// Packages whose output is in the command: itself, and the kernel programs inside.
const ROOTS: [&str; 2] = ["gre-user", "gre-ebpf"];

/// The document, as JSON. It has no date and no number of its own: the same crates give the same text.
pub fn document(workspace: &Workspace) -> Result<Vec<u8>> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace.root.join("Cargo.toml"))
        .other_options(["--locked".into(), "--filter-platform".into(), toolchain::host()?])
        .exec()
        .context("cannot read the crates")?;
    let checksums = checksums(&fs::read_to_string(workspace.root.join("Cargo.lock"))?)?;
    let bom = bom(&metadata, &checksums)?;
    let checked = bom.validate();
    ensure!(checked.passed(), "the list of crates is not valid: {checked:?}");
    let mut text = vec![];
    bom.output_as_json(&mut text, SpecVersion::V1_5)?;
    text.push(b'\n');
    Ok(text)
}

fn bom(metadata: &Metadata, checksums: &Checksums) -> Result<Bom> {
    let graph = graph(metadata)?;
    let [command, programs] = ROOTS.map(|name| {
        let mut packages = metadata.workspace_packages().into_iter();
        packages.find(|package| package.name.as_str() == name).map(|package| &package.id)
    });
    let command = command.context("there is no gre-user")?;
    let mut edges = BTreeMap::new();
    let mut todo: Vec<_> = [Some(command), programs].into_iter().flatten().collect();
    while let Some(id) = todo.pop() {
        if edges.contains_key(id) {
            continue;
        }
        // Cargo does not know that the command has the programs inside.
        let inside = programs.filter(|_| id == command);
        let needs: BTreeSet<_> = graph[id].iter().copied().chain(inside).collect();
        todo.extend(&needs);
        edges.insert(id, needs);
    }

    let mut components = vec![];
    let mut dependencies = vec![];
    let mut root = None;
    for (id, needs) in &edges {
        let component = component(&metadata[*id], *id == command, checksums)?;
        if *id == command {
            root = Some(component);
        } else {
            components.push(component);
        }
        dependencies.push(Dependency {
            dependency_ref: reference(&metadata[*id]),
            dependencies: needs.iter().map(|id| reference(&metadata[*id])).collect(),
        });
    }
    Ok(Bom {
        serial_number: None,
        metadata: Some(About { component: root, ..About::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    })
}

/// What each package needs to be built, but for its tests.
fn graph(metadata: &Metadata) -> Result<HashMap<&PackageId, Vec<&PackageId>>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    Ok(resolve.nodes.iter().map(|node| (&node.id, needs(node))).collect())
}

fn needs(node: &Node) -> Vec<&PackageId> {
    let test = |info: &DepKindInfo| info.kind == DependencyKind::Development;
    let needed = node.deps.iter().filter(|needed| !needed.dep_kinds.iter().all(test));
    needed.map(|needed| &needed.pkg).collect()
}

fn component(package: &Package, is_command: bool, checksums: &Checksums) -> Result<Component> {
    let kind = if is_command { Classification::Application } else { Classification::Library };
    let (name, version) = (package.name.as_str(), package.version.to_string());
    let mut component = Component::new(kind, name, &version, Some(reference(package)));
    component.purl = Some(Purl::new("cargo", name, &version)?);
    let licence = package.license.clone().with_context(|| format!("{name} has no licence"))?;
    let licence = SpdxExpression::parse_lax(licence).map_err(|error| anyhow!("{name}: {error}"))?;
    component.licenses = Some(Licenses(vec![LicenseChoice::Expression(licence)]));
    // The project's own have none.
    component.hashes = checksums.get(&(name.to_owned(), version)).map(|sum| {
        Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(sum.clone()) }])
    });
    Ok(component)
}

/// What the document calls a package.
fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}

/// SHA-256 of what the registry gave, by name and version.
type Checksums = HashMap<(String, String), String>;

fn checksums(lock: &str) -> Result<Checksums> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("cannot read Cargo.lock")?;
    let sums = lock.package.into_iter();
    Ok(sums.filter_map(|locked| Some(((locked.name, locked.version), locked.checksum?))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What was written is read again by the rules of the format, and knows who is inside.
    #[test]
    fn is_valid_and_complete() {
        let text = document(&Workspace::load().expect("the project")).expect("a document");
        let bom = Bom::parse_from_json(&text[..]).expect("CycloneDX");
        assert!(bom.validate().passed(), "{:?}", bom.validate());

        let Components(components) = bom.components.expect("components");
        let named = |name: &str| components.iter().find(|found| found.name.to_string() == name);
        for name in ["aya", "aya-ebpf", "clap", "gre-common", "gre-ebpf", "tokio"] {
            assert!(named(name).is_some(), "{name} is missing");
        }
        for name in ["gre-user", "xtask", "proptest", "libfuzzer-sys"] {
            assert!(named(name).is_none(), "{name} is not in the command");
        }
        let aya = named("aya").expect("aya");
        assert!(aya.hashes.is_some() && aya.licenses.is_some() && aya.purl.is_some());

        let json: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(json["specVersion"], "1.5");
        assert_eq!(json["metadata"]["component"]["name"], "gre-user");
    }

    #[test]
    fn says_the_same_twice() {
        let workspace = Workspace::load().expect("the project");
        let [one, other] = [(); 2].map(|()| document(&workspace).expect("a document"));
        assert_eq!(one, other);
    }
}
