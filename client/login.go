// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"

	"strongroom/internal/pure/apiv1"
)

// SetLogin makes the caller's login by password and code, in place of one they had, and gives the URI with the secret of the codes. The client must have a
// [Config.Signer]. The login signs nothing: it opens the pages for reading.
func (c *Client) SetLogin(ctx context.Context, password []byte) (string, error) {
	var v apiv1.LoginView
	err := c.call(ctx, http.MethodPost, "/v1/logins", nil, apiv1.LoginIn{Password: password}, &v)
	return v.URI, err
}

// RemoveLogin ends the caller's login.
func (c *Client) RemoveLogin(ctx context.Context, by PersonID) error {
	return c.call(ctx, http.MethodPost, "/v1/logins/"+string(by)+":remove", nil, nil, nil)
}
