// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// openBaoVariable names a file that says where an OpenBao is, as [openBaoConfig].
const openBaoVariable = "STRONGROOM_BENCH_OPENBAO"

// openBaoRow is the peer's row.
const openBaoRow = "OpenBao transit sign P-256, 32 callers"

// openBaoConfig is the file that [openBaoVariable] names, in JSON. Unknown members are refused.
type openBaoConfig struct {
	Endpoint  string `json:"endpoint"`  // http://host:port or https://host:port
	TokenFile string `json:"tokenFile"` // one line; relative to the configuration's folder
	Key       string `json:"key"`       // of type ecdsa-p256, in the secrets engine that is mounted at transit/
}

// openBao signs with a key of an OpenBao's transit secrets engine (OpenBao API documentation, "Transit secrets engine", "Sign data").
type openBao struct {
	url, token string
	body       []byte
	http       *http.Client
}

// newOpenBao reads a configuration for so many callers, and makes sure with one call that it works.
func newOpenBao(ctx context.Context, path string, callers int) (*openBao, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", openBaoVariable, err)
	}
	var c openBaoConfig
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", openBaoVariable, path, err)
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%s: endpoint %q must be http://host:port or https://host:port", openBaoVariable, c.Endpoint)
	}
	if c.TokenFile == "" || c.Key == "" {
		return nil, fmt.Errorf("%s: tokenFile and key are required", openBaoVariable)
	}
	if !filepath.IsAbs(c.TokenFile) {
		c.TokenFile = filepath.Join(filepath.Dir(path), c.TokenFile)
	}
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", openBaoVariable, err)
	}
	digest := sha256.Sum256([]byte("strongroom benchmark"))
	body, err := json.Marshal(map[string]any{"input": base64.StdEncoding.EncodeToString(digest[:]), "prehashed": true, "hash_algorithm": "sha2-256"})
	if err != nil {
		return nil, err
	}
	o := &openBao{url: u.JoinPath("v1/transit/sign", url.PathEscape(c.Key)).String(), token: strings.TrimSpace(string(token)), body: body,
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConns: callers, MaxIdleConnsPerHost: callers, MaxConnsPerHost: callers}}}
	if err := o.sign(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", openBaoVariable, err)
	}
	return o, nil
}

// sign has one digest signed. The key must be of P-256: other work is not compared.
func (o *openBao) sign(ctx context.Context) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(o.body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("X-Vault-Token", o.token)
	resp, err := o.http.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("OpenBao: %s: %s", resp.Status, bytes.TrimSpace(b))
	}
	var r struct {
		Data struct{ Signature string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("OpenBao: %w", err)
	}
	return checkP256(r.Data.Signature)
}

// checkP256 says whether a signature of OpenBao, vault:v<version>:<base64>, has the form of one of ECDSA on P-256.
func checkP256(s string) error {
	raw, err := base64.StdEncoding.DecodeString(s[strings.LastIndex(s, ":")+1:])
	if err != nil {
		return fmt.Errorf("OpenBao: signature: %w", err)
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(raw, &rs); err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || max(rs.R.BitLen(), rs.S.BitLen()) > 256 {
		return errors.New("OpenBao: the signature is not one of P-256; name a key of type ecdsa-p256")
	}
	return nil
}

// callers makes callers of sign.
func (o *openBao) callers(n int) []caller {
	return callersOf(n, func(*mathrand.Rand) caller {
		return func(ctx context.Context, _ int) error { return o.sign(ctx) }
	})
}
