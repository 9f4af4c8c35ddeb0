// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"strongroom/client"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/request"
)

// canned is a door that answers submissions with one recorded answer, so that what is measured is serve alone.
type canned struct {
	gate.Door
	answer []byte
}

func (c *canned) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if method == message.MethodSubmit && c.answer != nil {
		return c.answer, nil
	}
	b, err := c.Door.Call(ctx, method, body)
	if method == message.MethodSubmit && err == nil {
		c.answer = b
	}
	return b, err
}

// recorder is an http.ResponseWriter that keeps the last status.
type recorder struct {
	h      http.Header
	status int
	n      int
}

func (r *recorder) Header() http.Header { return r.h }

func (r *recorder) Write(b []byte) (int, error) { r.n += len(b); return len(b), nil }

func (r *recorder) WriteHeader(s int) { r.status = s }

// governed gives the JSON of a service's transfer with payload, as a client sends it.
func governed(b *testing.B, h *house) (client.Request, []byte) {
	b.Helper()
	body := transfer(7)
	r := h.request(coretest.Payout, request.Transfer, body, "bench-1")
	q, err := apiv1.RequestOf(r)
	if err != nil {
		b.Fatal(err)
	}
	ev := coretest.Signed(r, coretest.Payout).Evidence
	raw, err := json.Marshal(apiv1.Submission{Request: q, Evidence: apiv1.Evidence{Key: ev.Key, Signature: ev.Sig}, Payload: payload(b, body, 0)})
	if err != nil {
		b.Fatal(err)
	}
	return r, raw
}

// BenchmarkSubmit measures serve's part of a governed transfer: the handler alone, and behind TLS with a client certificate, beside
// a call that does nothing but prove who calls (kind not-found).
func BenchmarkSubmit(b *testing.B) {
	h := newHouse(b)
	_, raw := governed(b, h)
	header := map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "bench-1"}
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		call := h.direct(b)
		for b.Loop() {
			req, _ := http.NewRequest("POST", "/v1/requests", bytes.NewReader(raw))
			for k, v := range header {
				req.Header.Set(k, v)
			}
			w := &recorder{h: http.Header{}}
			call(w, req)
			if w.status != 201 {
				b.Fatal(w.status)
			}
		}
	})
	for _, proto := range []string{"http1", "h2"} {
		tr := h.transport(string(coretest.Payout.ID))
		tr.ForceAttemptHTTP2 = proto == "h2"
		b.Run(proto+"/submit", func(b *testing.B) {
			for b.Loop() {
				if s := send(b, tr, h, "POST", "/v1/requests", header, raw); s != 201 {
					b.Fatal(s)
				}
			}
		})
		b.Run(proto+"/empty", func(b *testing.B) {
			for b.Loop() {
				if s := send(b, tr, h, "GET", "/v1/nowhere", nil, nil); s != 404 {
					b.Fatal(s)
				}
			}
		})
	}
}

func send(b *testing.B, tr http.RoundTripper, h *house, method, path string, header map[string]string, body []byte) int {
	req, _ := http.NewRequest(method, h.url+path, bytes.NewReader(body))
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}
