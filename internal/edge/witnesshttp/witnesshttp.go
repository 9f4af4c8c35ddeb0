// SPDX-License-Identifier: Apache-2.0

// Package witnesshttp is the HTTP side of a log witness, as C2SP tlog-witness has it: POST add-checkpoint, and GET ORIGIN-HASH/checkpoint for
// monitors. It refuses bodies over the protocol's size, long headers, callers that are slow, and more connections than a place may have; who
// calls is not asked, because a checkpoint is signed by its log.
package witnesshttp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/svc/witness"
)

// Limits of connections. A core uses four at most.
const (
	MaxConnections    = 256 // in all
	MaxOwnConnections = 64  // from one IPv4 address or IPv6 /64; behind a proxy that is everybody
)

// Limits of the server.
const (
	headerTime  = 5 * time.Second
	requestTime = 10 * time.Second
	idleTime    = 5 * time.Minute
	stopTime    = 5 * time.Second
	maxHeader   = 4 << 10 // and 4 KiB that net/http adds
	maxStreams  = 8       // calls at a time on a connection of HTTP/2
)

// Handler answers for a witness, below the path /.
func Handler(w *witness.Witness) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, protocol.MaxRequest+1))
		if err != nil {
			write(rw, witness.Answer{Status: protocol.StatusMalformed, Type: protocol.TypeText, Body: []byte("the request can't be read, or is too large\n")})
			return
		}
		write(rw, w.Add(r.Context(), body))
	})
	origins := map[string]string{}
	for _, o := range w.Origins() {
		origins[OriginHash(o)] = o
	}
	mux.HandleFunc("GET /{origin}/checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		b, err := w.Latest(r.Context(), origins[r.PathValue("origin")])
		switch {
		case err != nil:
			write(rw, witness.Answer{Status: protocol.StatusWitnessFailed, Type: protocol.TypeText, Body: []byte("the state can't be read\n")})
		case b == nil:
			write(rw, witness.Answer{Status: protocol.StatusUnknownLog, Type: protocol.TypeText, Body: []byte("nothing was cosigned for that log\n")})
		default:
			write(rw, witness.Answer{Status: http.StatusOK, Type: protocol.TypeText, Body: b})
		}
	})
	return mux
}

// OriginHash names a log in the path: SHA-256 of its origin in lower-case hex.
func OriginHash(origin string) string {
	h := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(h[:])
}

func write(rw http.ResponseWriter, a witness.Answer) {
	rw.Header().Set("Content-Type", a.Type)
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.WriteHeader(a.Status)
	_, _ = rw.Write(a.Body) // a caller that is gone asks again
}

// Serve answers on l until ctx ends, then finishes what is open. conf is TLS's, or nil for HTTP in clear: nothing that crosses is secret, and
// all of it is signed.
func Serve(ctx context.Context, l net.Listener, w *witness.Witness, conf *tls.Config, log *slog.Logger) error {
	d := newDoor(l)
	s := &http.Server{Handler: Handler(w), ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, TLSConfig: conf, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnState: d.heed,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams}}
	ended := make(chan error, 1)
	go func() { // waited for below
		if conf != nil {
			ended <- s.ServeTLS(d, "", "")
			return
		}
		ended <- s.Serve(d)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("witness: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := s.Shutdown(stop)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	<-ended
	return err
}
