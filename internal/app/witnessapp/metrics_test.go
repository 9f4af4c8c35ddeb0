// SPDX-License-Identifier: Apache-2.0

package witnessapp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/edge/counts/countstest"
	"strongroom/internal/secret"
)

// TestMetrics: answers to submissions are counted by outcome, and shown on loopback only.
func TestMetrics(t *testing.T) {
	t.Parallel()
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	must(t, err)
	defer arena.Close()
	dir := t.TempDir()
	key, logs := filepath.Join(dir, "w.key"), filepath.Join(dir, "logs")
	_, err = witnessapp.Init(arena, key, "witness.example/w", secret.Bytes{}, true)
	must(t, err)
	must(t, os.WriteFile(logs, []byte("log "+mustVKey(t)+"\n"), 0o600))
	log, shown := countstest.Log()
	ready := make(chan string, 1)
	o := witnessapp.Options{Arena: arena, Key: key, State: filepath.Join(dir, "state"), Logs: logs, Listen: "127.0.0.1:0", Metrics: "0.0.0.0:0", Now: time.Now, Log: log,
		Passphrase: func() (secret.Bytes, error) { return secret.Bytes{}, errors.New("not asked for") }, Ready: func(url string) { ready <- url }}
	if err := witnessapp.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not on loopback") {
		t.Fatalf("metrics for everybody: %v", err)
	}
	o.Metrics = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- witnessapp.Run(ctx, o) }() // received below
	url, at := <-ready, <-shown
	for i, body := range []string{"nonsense", "old 0\n\nnonsense\n"} {
		if status, _, _ := post(t, url, []byte(body)); status != 400 {
			t.Errorf("number %d: status %d", i, status)
		}
	}
	text := countstest.Read(t, at)
	for _, want := range []string{`{outcome="cosigned"} 0`, `{outcome="refused"} 2`, `{outcome="failed"} 0`, "last_success_timestamp_seconds 0"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
