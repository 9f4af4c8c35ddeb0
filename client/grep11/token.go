// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// early is how long before its end a token is replaced.
const early = time.Minute

// Tokens gets bearer tokens for an API key from a gateway's token endpoint (https://host:port) and keeps each until a minute before its end. apiKey is
// asked when one is needed. now is usually time.Now. The function is safe for concurrent use.
func Tokens(hc *http.Client, endpoint string, apiKey func() ([]byte, error), now func() time.Time) func(context.Context) (string, error) {
	t := &tokens{http: hc, endpoint: strings.TrimSuffix(endpoint, "/") + "/identity/token", apiKey: apiKey, now: now}
	return t.get
}

type tokens struct {
	http     *http.Client
	endpoint string
	apiKey   func() ([]byte, error)
	now      func() time.Time

	mu    sync.Mutex // guards all below, and is held while a token is fetched
	token string
	until time.Time
}

func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.token != "" && now.Before(t.until) {
		return t.token, nil
	}
	token, life, err := t.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	t.token, t.until = token, now.Add(life-early)
	return token, nil
}

func (t *tokens) fetch(ctx context.Context) (string, time.Duration, error) {
	key, err := t.apiKey()
	if err != nil {
		return "", 0, err
	}
	form := url.Values{"grant_type": {"urn:ibm:params:oauth:grant-type:apikey"}, "apikey": {strings.TrimSpace(string(key))}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := t.http.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", 0, err
	}
	var v struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return "", 0, fmt.Errorf("status %s without JSON", resp.Status)
	}
	if resp.StatusCode != http.StatusOK || v.Token == "" {
		return "", 0, errors.New(resp.Status + ": " + v.Message)
	}
	return v.Token, time.Duration(v.Expires) * time.Second, nil
}
