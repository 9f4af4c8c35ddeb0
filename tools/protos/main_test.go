// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGenerated: what is committed below api/gen is what the sources and the pinned generators give.
func TestGenerated(t *testing.T) {
	t.Parallel()
	const root = "../.."
	files, err := generate(t.Context(), filepath.Join(root, "api", "proto"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, "api", "gen", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("api/gen/%s is not what api/proto gives; run 'make generate' (%v)", name, err)
		}
	}
	have, err := filepath.Glob(filepath.Join(root, "api", "gen", "*", "*.pb.go"))
	if err != nil || len(have) != len(files) {
		t.Errorf("api/gen has %d generated files, want %d (%v)", len(have), len(files), err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := generate(t.Context(), dir); err == nil {
		t.Error("a folder without sources was accepted")
	}
	if err := os.WriteFile(filepath.Join(dir, "a.proto"), []byte("syntax = \"proto3\"; message A { int32 x = 1; int32 y = 1; }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := generate(t.Context(), dir); err == nil {
		t.Error("a number used twice was accepted")
	}
}
