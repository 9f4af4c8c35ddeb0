// SPDX-License-Identifier: Apache-2.0

package devnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Write writes the information to a file that only its owner can read. The
// file appears whole or not at all.
func (i Info) Write(path string) error {
	line, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("encode the devnet's description: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".devnet-*") // 0600
	if err != nil {
		return fmt.Errorf("write the devnet's description: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the devnet's description: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// ReadInfo reads what Write wrote. It waits up to wait for the file to appear.
func ReadInfo(ctx context.Context, path string, wait time.Duration) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		content, err := os.ReadFile(path)
		if err == nil {
			var i Info
			if err := json.Unmarshal(content, &i); err != nil {
				return Info{}, fmt.Errorf("decode the devnet's description %s: %w", path, err)
			}
			return i, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return Info{}, fmt.Errorf("read the devnet's description: %w", err)
		}
		select {
		case <-ctx.Done():
			return Info{}, fmt.Errorf("read the devnet's description: %w: is a devnet running?", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Call sends a request to a control interface ("fund", "mine", "reorg" or
// "automine" with its body, or "state" with nil) and returns the JSON answer.
func Call(ctx context.Context, control, name string, body any) (json.RawMessage, error) {
	method, reader := http.MethodGet, io.Reader(http.NoBody)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("devnet %s: %w", name, err)
		}
		method, reader = http.MethodPost, bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, control+"/"+name, reader)
	if err != nil {
		return nil, fmt.Errorf("devnet %s: %w", name, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("devnet %s: %w", name, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("devnet %s: %w", name, err)
	}
	if resp.StatusCode != http.StatusOK {
		var refusal ErrorAnswer
		if json.Unmarshal(answer, &refusal) != nil || refusal.Error == "" {
			refusal.Error = resp.Status
		}
		return nil, fmt.Errorf("devnet %s: %s", name, refusal.Error)
	}
	return bytes.TrimSpace(answer), nil
}
