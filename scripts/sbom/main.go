// Command sbom writes what a Go program is made of as a CycloneDX document: the modules that the linker has recorded in
// it. The same program gives the same bytes.
//
//	sbom -version v0.3.0 -o sluice.cdx.json bin/sluice
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	version := flag.String("version", "", "version of the program; empty: the one recorded in it")
	out := flag.String("o", "-", "file to write; -: standard output")
	flag.Parse()
	if err := run(flag.Args(), *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string, version, out string) error {
	if len(args) != 1 {
		return errors.New("name one program\nnext: sbom -o sluice.cdx.json bin/sluice")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	sum, err := digest(args[0])
	if err != nil {
		return err
	}
	if version == "" {
		version = info.Main.Version
	}
	return write(bill(info, version, sum), out)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// bill lists the modules of a program. A module that another replaces is listed as that other.
func bill(info *debug.BuildInfo, version, sum string) *cdx.BOM {
	b := cdx.NewBOM()
	program := component(&debug.Module{Path: info.Main.Path, Version: version}, cdx.ComponentTypeApplication)
	program.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	b.Metadata = &cdx.Metadata{Component: &program}
	parts := []cdx.Component{component(&debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}, cdx.ComponentTypeLibrary)}
	for _, m := range info.Deps {
		switch {
		case m.Replace == nil:
		case strings.HasPrefix(m.Replace.Path, "."): // a directory of this repository, as old as the program
			m = &debug.Module{Path: m.Path, Version: version}
		default:
			m = m.Replace
		}
		parts = append(parts, component(m, cdx.ComponentTypeLibrary))
	}
	b.Components = &parts
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.BOMRef
	}
	b.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	return b
}

// component names a module by its package URL, https://github.com/package-url/purl-spec.
func component(m *debug.Module, kind cdx.ComponentType) cdx.Component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	return cdx.Component{BOMRef: purl, Type: kind, Name: m.Path, Version: m.Version, PackageURL: purl}
}

func write(b *cdx.BOM, out string) error {
	w := io.WriteCloser(os.Stdout)
	if out != "-" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		w = f
	}
	err := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(b)
	return errors.Join(err, w.Close())
}
