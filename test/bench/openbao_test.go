// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// peer speaks the part of OpenBao's API that the benchmark uses, and refuses what OpenBao would.
func peer(t *testing.T, calls *atomic.Int64) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/transit/sign/{key}", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("X-Vault-Token") != "s.token" {
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		var in struct {
			Input     string `json:"input"`
			Prehashed bool   `json:"prehashed"`
			Hash      string `json:"hash_algorithm"`
		}
		digest := []byte(nil)
		err := json.NewDecoder(r.Body).Decode(&in)
		if err == nil {
			digest, err = base64.StdEncoding.DecodeString(in.Input)
		}
		if err != nil || len(digest) != 32 || !in.Prehashed || in.Hash != "sha2-256" {
			http.Error(w, `{"errors":["bad input"]}`, http.StatusBadRequest)
			return
		}
		var sig []byte
		switch r.PathValue("key") {
		case "p256":
			sig, err = ecdsa.SignASN1(rand.Reader, key, digest)
		case "p384":
			sig, err = ecdsa.SignASN1(rand.Reader, p384, digest)
		case "ed25519":
			sig = ed25519.Sign(ed, digest)
		default:
			http.Error(w, `{"errors":["signing key not found"]}`, http.StatusBadRequest)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "x", "data": map[string]any{"key_version": 1,
			"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(sig)}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// configure writes a configuration and a token file.
func configure(t *testing.T, conf, token string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "openbao.json")
	for name, text := range map[string]string{path: conf, filepath.Join(dir, "token"): token} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestOpenBaoSigns(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := peer(t, &calls)
	o, err := newOpenBao(t.Context(), configure(t, `{"endpoint":"`+s.URL+`","tokenFile":"token","key":"p256"}`, "s.token\n"), 4)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (load{callers: o.callers(4)}).measure(t.Context(), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if int64(got.Ops) != calls.Load()-1 || got.Ops == 0 {
		t.Errorf("%d operations, the peer signed %d times", got.Ops, calls.Load()-1)
	}
}

func TestOpenBaoRefusals(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := peer(t, &calls)
	good := `{"endpoint":"` + s.URL + `","tokenFile":"token","key":"p256"}`
	for _, tt := range []struct{ name, conf, token, want string }{
		{"unknown member", strings.Replace(good, "key", "kye", 1), "s.token", "unknown field"},
		{"not JSON", "endpoint: x", "s.token", "invalid character"},
		{"no endpoint", `{"tokenFile":"token","key":"p256"}`, "s.token", "must be http://"},
		{"endpoint with a path", strings.Replace(good, s.URL, s.URL+"/v1", 1), "s.token", "must be http://"},
		{"no key", `{"endpoint":"` + s.URL + `","tokenFile":"token"}`, "s.token", "are required"},
		{"no token file", strings.Replace(good, `"token"`, `"tok"`, 1), "s.token", "no such file"},
		{"wrong token", good, "s.other", "permission denied"},
		{"unknown key", strings.Replace(good, "p256", "other", 1), "s.token", "signing key not found"},
		{"key of P-384", strings.Replace(good, "p256", "p384", 1), "s.token", "ecdsa-p256"},
		{"key of Ed25519", strings.Replace(good, "p256", "ed25519", 1), "s.token", "ecdsa-p256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newOpenBao(t.Context(), configure(t, tt.conf, tt.token), 1)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s.token") {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}
