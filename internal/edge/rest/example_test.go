// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/request"
)

// The example in Python of docs/logins.md is a program that has nothing of ours: it asks for a transfer by a signed call.
func TestSignedCallsInPython(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed; scripts/setup installs what tests need", program)
		}
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "logins.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```python\n")
	example, _, end := strings.Cut(rest, "```")
	if !found || !end {
		t.Fatal("docs/logins.md has no example in Python")
	}
	h := newHouse(t)
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(coretest.Payout.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"call.py": []byte(example), "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"ca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.cert.Raw})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	call := func(key string, amount uint64) ([]byte, error) {
		q, err := apiv1.RequestOf(h.request(coretest.Payout, request.Transfer, transfer(amount), key))
		if err != nil {
			t.Fatal(err)
		}
		in, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var words bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "python3", "call.py")
		cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(in), &words
		cmd.Env = append(os.Environ(), "URL="+h.url, "KEY=key.pem", "CA=ca.pem", "KEYID="+string(coretest.Payout.Public().Ref()), "IDEMPOTENCY_KEY="+key)
		out, err := cmd.Output()
		if err != nil {
			t.Logf("%s", words.String())
		}
		return out, err
	}
	out, err := call("python-1", 5)
	if err != nil {
		t.Fatal(err)
	}
	var v apiv1.RequestView
	if err := json.Unmarshal(out, &v); err != nil || v.Initiator != coretest.Payout.ID || v.State != "ready" {
		t.Fatalf("got %s, %v", out, err)
	}
	if _, err := call("python-1", 6); err == nil {
		t.Error("the same idempotency key was taken for another request")
	}
}
