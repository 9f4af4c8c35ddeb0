// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// TokenPath is where tokens are given.
const TokenPath = "/identity/token"

// GrantType is the grant type of a token request.
const GrantType = "urn:ibm:params:oauth:grant-type:apikey"

// maxForm is the largest token request in bytes.
const maxForm = 8 << 10

// endpoint gives bearer tokens for API keys, as clients ask for them: a form with the grant type and the key.
type endpoint struct{ s *Server }

// TokenEndpoint answers POST /identity/token. Who serves it ends TLS. Without [Config.Tokens] it finds nothing.
func (s *Server) TokenEndpoint() http.Handler { return &endpoint{s} }

// granted is the answer to a token request.
type granted struct {
	Token      string `json:"access_token"`
	Type       string `json:"token_type"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	Expiration int64  `json:"expiration"` // Unix seconds
}

// refusedToken is why there is no token.
type refusedToken struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// ServeHTTP answers a token request.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	status, body := e.answer(r)
	if status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(int(LockOut/time.Second)))
	}
	b, err := json.Marshal(body)
	if err != nil { // strings and numbers have a JSON form
		status, b = http.StatusInternalServerError, nil
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // who asked may be gone
}

func (e *endpoint) answer(r *http.Request) (int, any) {
	s := e.s
	switch {
	case s.cfg.Tokens == nil || r.URL.Path != TokenPath:
		return http.StatusNotFound, refusedToken{"NOT_FOUND", "there are no tokens here"}
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, refusedToken{"METHOD_NOT_ALLOWED", "POST a form with grant_type and apikey"}
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	defer clear(b)
	if err != nil || len(b) > maxForm {
		return http.StatusBadRequest, refusedToken{"BAD_FORM", "the form can't be read"}
	}
	// Whatever the content type: not every client sets one.
	form, err := url.ParseQuery(string(b))
	if err != nil || len(form["grant_type"]) != 1 || len(form["apikey"]) != 1 || form.Get("grant_type") != GrantType {
		return http.StatusBadRequest, refusedToken{"BAD_FORM", "a form with grant_type=" + GrantType + " and one apikey is wanted"}
	}
	token, life, err := s.cfg.Tokens.Exchange(form.Get("apikey"))
	switch {
	case err == nil:
	case s.ownFault(err):
		return http.StatusServiceUnavailable, refusedToken{"UNAVAILABLE", "API keys can't be checked at the moment"}
	case !s.guessed(err, r.RemoteAddr):
		return http.StatusTooManyRequests, refusedToken{"LOCKED_OUT", "too many bad tokens or API keys came from this address; wait"}
	default:
		return http.StatusBadRequest, refusedToken{"BAD_API_KEY", "the API key is not known, or has ended"}
	}
	return http.StatusOK, granted{token, "Bearer", int64(life / time.Second), s.cfg.Now().Add(life).Unix()}
}
