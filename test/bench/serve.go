// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/pure/request"
)

// server is a running serve before a domain's core, without chains, and how the domain's service calls it: TLS 1.3 with a client
// certificate, a connection a caller that is kept open.
type server struct {
	cmd     *exec.Cmd
	url     string
	http    *http.Client
	client  *client.Client
	session *client.Session
}

// startServe starts serve before d and opens the service's session. most is how many callers there will be at a time.
func startServe(ctx context.Context, binary string, d *domain, most int) (*server, error) {
	dir := filepath.Join(d.dir, "serve")
	ca, err := tlsca.Open(tlsca.Config{Dir: dir, Names: tlsca.DefaultNames(), Now: time.Now})
	if err != nil {
		return nil, err
	}
	tlsConfig, err := clientTLS(ca, d.service)
	if err != nil {
		return nil, err
	}
	s := &server{}
	if err := s.start(ctx, binary, d); err != nil {
		return nil, err
	}
	tr := &http.Transport{TLSClientConfig: tlsConfig, MaxIdleConns: most, MaxIdleConnsPerHost: most, MaxConnsPerHost: most}
	s.http = &http.Client{Transport: tr}
	err = s.connect(ctx, d, tr, most)
	if err != nil {
		err = errors.Join(err, s.stop())
	}
	return s, err
}

// start runs the program with a configuration file and waits until it listens.
func (s *server) start(ctx context.Context, binary string, d *domain) error {
	file := filepath.Join(d.dir, "serve.json") // YAML too
	conf, err := json.Marshal(map[string]string{"door": d.socket, "data": "serve", "tiles": "tiles", "listen": "127.0.0.1:0"})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "serve.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "serve", "--config-file", file)
	s.cmd.Stderr = log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start serve: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		_ = s.cmd.Process.Kill() // it may have ended
		_ = s.cmd.Wait()         // likewise
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("serve did not start: %s", said)
	}
	s.url = url
	return nil
}

// clientTLS makes a key for the transport and has serve's authority certify it in the service's name.
func clientTLS(ca *tlsca.Authority, who person) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	cert, _, err := ca.Issue(csr, who.id)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}, nil
}

// connect opens the session and as many connections as there will be callers.
func (s *server) connect(ctx context.Context, d *domain, tr http.RoundTripper, most int) error {
	var err error
	s.client, err = client.New(client.Config{BaseURL: s.url, Authority: d.authority, Transport: tr, Now: time.Now})
	if err != nil {
		return err
	}
	signer, err := client.NewSigner(d.service.id, d.service.key)
	if err != nil {
		return err
	}
	if s.session, err = s.client.OpenSession(ctx, signer, 20*time.Hour); err != nil {
		return err
	}
	_, err = load{callers: s.health(most)}.measure(ctx, 300*time.Millisecond)
	return err
}

// caughtUp waits until serve's cache has followed the log: that work belongs to the calls before it.
func (s *server) caughtUp(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; {
		st, err := s.client.Status(ctx)
		if err != nil || st.Cache.Behind == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("serve's cache is %d entries behind the log and does not catch up", st.Cache.Behind)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stop ends serve.
func (s *server) stop() error {
	s.http.CloseIdleConnections()
	err := s.cmd.Process.Signal(os.Interrupt)
	return errors.Join(err, s.cmd.Wait())
}

// health makes callers of the empty HTTPS and JSON call.
func (s *server) health(n int) []caller {
	return callersOf(n, func(*mathrand.Rand) caller {
		return func(ctx context.Context, _ int) error {
			var h struct{ Status string }
			if err := getJSON(ctx, s.http, s.url+"/healthz", &h); err != nil {
				return err
			}
			if h.Status != "ok" {
				return fmt.Errorf("serve is %q", h.Status)
			}
			return nil
		}
	})
}

// governed makes callers that do governed transfers through REST.
func (s *server) governed(n int, d *domain, acc *accounts) []caller {
	return acc.callers(n, d, func(ctx context.Context, r request.Request, payload []byte) error {
		v, err := s.session.Submit(ctx, r, payload)
		if err == nil && (v.Signed == nil || len(v.Signed.Bytes) == 0) {
			err = fmt.Errorf("transfer not signed: %s", v.State)
		}
		return err
	})
}

// getJSON reads a JSON document.
func getJSON(ctx context.Context, c *http.Client, url string, v any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return json.Unmarshal(b, v)
}
