package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	sdkerr "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	secrets "github.com/aliyun/aliyun-secretsmanager-client-go/sdk"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/logger"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/models"
	"github.com/aliyun/aliyun-secretsmanager-client-go/sdk/service"
)

// watch does what cache_client.py does: prints the value each time that it is another one, as a line of JSON, until standard
// input ends; {"refused": CODE} when the service refuses the first read. KIND is `access-key`, with the key in the BULLA_…
// variables, or `client-key`, which the caching client takes from its own variables. This client speaks https only, and believes
// every certificate.
func watch(kind, secret, ttl string) error {
	milliseconds, err := strconv.ParseInt(ttl, 10, 64)
	if err != nil {
		return err
	}
	builder := service.NewBaseSecretManagerClientBuilder().Standard()
	if kind == "access-key" {
		builder.WithAccessKey(os.Getenv("BULLA_ACCESS_KEY_ID"), os.Getenv("BULLA_ACCESS_KEY_SECRET"))
		builder.AddRegionInfo(models.NewRegionInfoWithEndpoint(os.Getenv("BULLA_REGION"), os.Getenv("BULLA_ENDPOINT")))
	}
	own := logger.NewDefaultLogger(log.New(os.Stderr, "", log.LstdFlags)) // its own goes to standard output
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	client, err := secrets.NewSecretCacheClientBuilder(builder.Build()).WithSecretTTL(secret, milliseconds).WithLogger(own).Build()
	var refusal *sdkerr.ServerError
	if errors.As(err, &refusal) { // it reads the secrets that it has a TTL of when it is built
		return lines.Encode(map[string]string{"refused": refusal.ErrorCode()})
	} else if err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		close(over)
	}()
	last := ""
	for {
		if value, err := client.GetStringValue(secret); err != nil {
			fmt.Fprintln(os.Stderr, "no value:", err) // an application goes on with what it has until the service is back
		} else if value != last {
			last = value
			if err := lines.Encode(value); err != nil {
				return err
			}
		}
		select {
		case <-over:
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}
