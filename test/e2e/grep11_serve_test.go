// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// TestServeWithAKeyInTheDomain: serve's TLS key is made and used in the domain, under a grant; before the grant no handshake succeeds, afterwards no
// key is in serve's folder but the sealed one, and it outlives a restart.
func TestServeWithAKeyInTheDomain(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start()
	c.allow(points.Known().Minus(points.Evaluation()))
	top := t.TempDir()
	writeKeyFile(t, filepath.Join(top, "service.key"), s.service)
	if err := os.Mkdir(filepath.Join(top, "tiles"), 0o700); err != nil {
		t.Fatal(err)
	}
	url := serveWithKey(t, c, top)
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(top, "serve", "ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	get := func(url string) (*ecdsa.PublicKey, error) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(url + "/healthz")
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return resp.TLS.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey), nil
	}
	if _, err := get(url); err == nil {
		t.Error("a handshake without a grant")
	}
	c.govern("serve", request.AppGrant, request.AppGrantBody{Grant: "serve", Caller: "local:serve", Gateway: s.service.id, Functions: []request.AppFunction{request.AppGenerate, request.AppSign},
		Mechanisms: []uint64{ep11.CKM_EC_KEY_PAIR_GEN, ep11.CKM_ECDSA}, Rate: 100, Burst: 100, NotAfter: time.Now().Unix() + 3600})
	first, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(top, "serve", "tls-key.json"))
	var blobs struct{ Private, Public []byte }
	if err := errors.Join(err, json.Unmarshal(b, &blobs)); err != nil || len(blobs.Private) < 64 {
		t.Fatalf("%s: %v", b, err)
	}
	point, err := first.Bytes()
	if err != nil || !strings.Contains(string(blobs.Public), string(point)) {
		t.Error("the certificate's key is not the one in the domain")
	}
	again, err := get(serveWithKey(t, c, top))
	if err != nil || !again.Equal(first) {
		t.Errorf("after a restart: %v", err)
	}
	c.check()
}

// serveWithKey starts serve with its TLS key in the domain.
func serveWithKey(t *testing.T, c *core, top string) string {
	t.Helper()
	cmd := exec.Command("strongroom", "serve", "--door", c.socket, "--data", filepath.Join(top, "serve"), "--tiles", filepath.Join(top, "tiles"), "--listen", "127.0.0.1:0",
		"--tls-key-from-module", filepath.Join(top, "service.key"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it may have ended
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		t.Fatalf("serve did not start: %v", err)
	}
	return url
}
