// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/pure/request"
)

// goBlock cuts the first block of Go out of a document, behind a heading.
func goBlock(t *testing.T, path, heading string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), "\n"+heading+"\n")
	_, after, begins := strings.Cut(after, "\n```go\n")
	block, _, ends := strings.Cut(after, "\n```\n")
	if !ok || !begins || !ends {
		t.Fatalf("%s: no block of Go behind %q", path, heading)
	}
	return block
}

// TestDocumentedClients compiles and runs the clients that README and docs/grep11.md show, as they stand there, against a gateway and a core as they ship.
func TestDocumentedClients(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	top := t.TempDir()
	out, err := runIn(t, top, "strongroom", "grep11", "certificate", "--out", "app")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a.core.govern("documented", request.AppGrant, a.grantOf("documented", request.AppCaller(strings.TrimSpace(string(out)))))
	ca, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(top, "domain", "serve"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "domain", "serve", "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(top, "app", "certificate.pem"), filepath.Join(top, "app", "key.pem")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, heading, before, after string
		imports                      []string
		want                         string
	}{
		{"README.md", "## Keys for programs", "", "_ = tlsConfig",
			[]string{"crypto", "crypto/ecdsa", "crypto/sha256", "crypto/tls", "crypto/x509", "fmt", "os"}, "true\n"},
		{"docs/grep11.md", "## 4 The first call", "pem, _ := os.ReadFile(\"domain/serve/ca.pem\")\nroots := x509.NewCertPool()\nroots.AppendCertsFromPEM(pem)\ndigest := sha256.Sum256([]byte(\"hello\"))",
			"_, _ = err, tlsConfig\nfmt.Println(len(private) > 0, ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], sig), len(public) > 0)",
			[]string{"crypto", "crypto/ecdsa", "crypto/sha256", "crypto/tls", "crypto/x509", "fmt", "os"}, "true true true\n"},
	} {
		block := goBlock(t, tt.path, tt.heading)
		const address = `"localhost:9876"`
		if strings.Count(block, address) != 1 {
			t.Fatalf("%s: the client does not name %s once", tt.path, address)
		}
		var src bytes.Buffer
		src.WriteString("package main\n\nimport (\n\t\"context\"\n")
		for _, i := range tt.imports {
			src.WriteString("\t\"" + i + "\"\n")
		}
		src.WriteString("\n\t\"strongroom/client/grep11\"\n)\n\nfunc main() {\nctx := context.Background()\nvar chain [][]byte\n" + tt.before + "\n" +
			strings.Replace(block, address, `"`+a.address+`"`, 1) + "\n" + tt.after + "\n}\n")
		file, program := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "client")
		if err := os.WriteFile(file, src.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", tt.path, err, said)
			continue
		}
		if got, err := runIn(t, top, program); err != nil || string(got) != tt.want {
			t.Errorf("%s: %v: %q", tt.path, err, got)
		}
	}
	a.core.check()
}

// runIn runs a program in a folder and gives what it printed.
func runIn(t *testing.T, dir, name string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	return cmd.Output()
}
