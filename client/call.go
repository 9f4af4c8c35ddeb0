// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/request"
)

// callLife is how long the signature of a call is good, in seconds.
const callLife = 120

// sign signs a call with a key of its caller (RFC 9421), if the client has one.
func (c *Client) sign(req *http.Request, body []byte) error {
	if c.signer == nil {
		return nil
	}
	key := req.Header.Get(apiv1.IdempotencyHeader)
	parts := map[string]string{httpsig.Method: req.Method, httpsig.Authority: httpsig.AuthorityOf(req.URL.Host), httpsig.Path: req.URL.EscapedPath(),
		httpsig.Query: httpsig.QueryOf(req.URL.RawQuery), httpsig.IdempotencyKey: key}
	post := req.Method == http.MethodPost
	if post {
		parts[httpsig.ContentDigest] = httpsig.Digest(body)
		req.Header.Set("Content-Digest", parts[httpsig.ContentDigest])
	}
	now, alg := c.now().Unix(), httpsig.Ed25519
	if c.signer.Public().Alg == request.P256 {
		alg = httpsig.P256
	}
	in, err := httpsig.NewInput(httpsig.Components(post, key != ""), httpsig.Params{Created: now, Expires: now + callLife, Nonce: NewKey(),
		KeyID: string(c.signer.Public().Ref()), Alg: alg, Tag: httpsig.Tag})
	if err != nil {
		return err
	}
	base, err := in.Base(func(name string) (string, bool) { v, ok := parts[name]; return v, ok })
	if err != nil {
		return err
	}
	sig, err := c.signer.Sign(base)
	if err != nil {
		return err
	}
	input, value := httpsig.Fields("call", in, sig)
	req.Header.Set("Signature-Input", input)
	req.Header.Set("Signature", value)
	return nil
}

// SubmitCall hands a composed request in as JSON. The signature of the call is its evidence, so that the client must have a [Config.Signer], who is the
// initiator. With a payload a transfer on an automatic route is signed at once. It checks the receipt as [Client.SubmitFile] does.
func (c *Client) SubmitCall(ctx context.Context, r Request, payload []byte) (RequestView, error) {
	if c.signer == nil || c.signer.Person() != r.Initiator {
		return RequestView{}, errors.New("submit: the client signs no calls of the request's initiator")
	}
	q, err := apiv1.RequestOf(r)
	if err != nil {
		return RequestView{}, err
	}
	b, err := json.Marshal(apiv1.Submission{Request: q, Payload: payload})
	if err != nil {
		return RequestView{}, fmt.Errorf("write request: %w", err)
	}
	return c.post(ctx, r, r.Encode(), apiv1.JSON, b, nil)
}
