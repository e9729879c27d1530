// HashiCorp's Go client in the order in which its users call it: External Secrets Operator, the CSI provider, Terraform's provider, GitLab's
// runner, and KV version 2 by its helper. Driven by the suite:
//
//	vault SEQUENCE    what it needs as JSON on standard input; VAULT_ADDR and VAULT_CACERT from the environment
//
// Prints what it read; exits with 1 and the reason when something is not as it must be.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// Input is what the suite says.
type Input struct {
	Mount, Role, JWT, KV, Key, Push, Path string
	Parameters                            map[string]any
}

type sequence func(context.Context, *vault.Client, Input) (any, error)

func main() {
	sequences := map[string]sequence{"eso": eso, "csi": csi, "terraform": terraform, "gitlab": gitlab, "kv": kv}
	run := sequences[strings.Join(os.Args[1:], " ")]
	var input Input
	err := json.NewDecoder(os.Stdin).Decode(&input)
	if err == nil && run == nil {
		err = errors.New("usage: vault eso|csi|terraform|gitlab|kv")
	}
	if err == nil {
		err = print(run, input)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func print(run sequence, input Input) error {
	client, err := vault.NewClient(vault.DefaultConfig())
	if err != nil {
		return err
	}
	client.SetMaxRetries(0)
	context, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	read, err := run(context, client, input)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(read)
}

func login(ctx context.Context, client *vault.Client, input Input) error {
	secret, err := client.Logical().WriteWithContext(ctx, "auth/"+input.Mount+"/login", map[string]any{"role": input.Role, "jwt": input.JWT})
	if err != nil {
		return err
	}
	token, err := secret.TokenID()
	client.SetToken(token)
	return err
}

// refused says whether an error is an answer with this status and text.
func refused(err error, status int, text string) error {
	var answer *vault.ResponseError
	if errors.As(err, &answer) && answer.StatusCode == status && strings.Contains(strings.Join(answer.Errors, "\n"), text) {
		return nil
	}
	return fmt.Errorf("not the answer %d %q: %v", status, text, err)
}

// eso is what External Secrets Operator's provider does: login, validate, fetch, find, push, delete, revoke.
func eso(ctx context.Context, client *vault.Client, input Input) (any, error) {
	if err := login(ctx, client, input); err != nil {
		return nil, err
	}
	self, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if self.Data["type"] != "service" || self.Data["expire_time"] == nil {
		return nil, fmt.Errorf("not a token as it checks them: %v", self.Data)
	}
	if ttl, err := self.Data["ttl"].(json.Number).Int64(); err != nil || ttl < 60 {
		return nil, fmt.Errorf("a ttl that it takes for expired: %v", self.Data["ttl"])
	}
	mount, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+input.KV)
	if err != nil {
		return nil, err
	}
	if options, ok := mount.Data["options"].(map[string]any); mount.Data["type"] != "kv" || !ok || options["version"] != "2" {
		return nil, fmt.Errorf("not a mount as it checks them: %v", mount.Data)
	}
	found, err := client.Logical().ReadWithDataWithContext(ctx, input.KV+"/data/"+input.Key, nil)
	if err != nil || found == nil || found.Data["data"] == nil {
		return nil, fmt.Errorf("%s: %v, %w", input.Key, found, err)
	}
	if _, ok := found.Data["metadata"].(map[string]any); !ok {
		return nil, errors.New("no metadata")
	}
	if err := push(ctx, client, input); err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	if err := client.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		return nil, err
	}
	_, err = client.Auth().Token().LookupSelfWithContext(ctx)
	return found.Data["data"], refused(err, http.StatusForbidden, "permission denied")
}

// push is what a PushSecret does when it is made, changed and deleted.
func push(ctx context.Context, client *vault.Client, input Input) error {
	data, metadata := input.KV+"/data/"+input.Push, input.KV+"/metadata/"+input.Push
	for n, value := range []string{"one", "two"} {
		before, err := client.Logical().ReadWithDataWithContext(ctx, data, nil)
		if err != nil || (before == nil) != (n == 0) {
			return fmt.Errorf("read %d: %v, %w", n, before, err)
		}
		described, err := client.Logical().ReadWithDataWithContext(ctx, metadata, nil)
		if err != nil || (described == nil) != (n == 0) {
			return fmt.Errorf("metadata %d: %v, %w", n, described, err)
		}
		options := map[string]any{"cas": json.Number("0")}
		if described != nil {
			if custom, _ := described.Data["custom_metadata"].(map[string]any); custom["managed-by"] != "external-secrets" {
				return fmt.Errorf("not its own: %v", described.Data)
			}
			options["cas"] = described.Data["current_version"]
		}
		managed := map[string]any{"custom_metadata": map[string]string{"managed-by": "external-secrets"}}
		if _, err := client.Logical().WriteWithContext(ctx, metadata, managed); err != nil {
			return err
		}
		body := map[string]any{"data": map[string]any{"key": value}, "options": options}
		if _, err := client.Logical().WriteWithContext(ctx, data, body); err != nil {
			return err
		}
	}
	folder, name := input.Push[:strings.LastIndex(input.Push, "/")], input.Push[strings.LastIndex(input.Push, "/")+1:]
	listed, err := client.Logical().ListWithContext(ctx, input.KV+"/metadata/"+folder)
	if err != nil || listed == nil || !strings.Contains(fmt.Sprint(listed.Data["keys"]), name) {
		return fmt.Errorf("list: %v, %w", listed, err)
	}
	if _, err := client.Logical().DeleteWithContext(ctx, data); err != nil {
		return err
	}
	if _, err := client.Logical().DeleteWithContext(ctx, metadata); err != nil {
		return err
	}
	gone, err := client.Logical().ReadWithDataWithContext(ctx, metadata, nil)
	if err != nil || gone != nil {
		return fmt.Errorf("deleted: %v, %w", gone, err)
	}
	return nil
}

// csi is what the Vault provider of the Secrets Store CSI driver does: raw requests, and one more login on 403.
func csi(ctx context.Context, client *vault.Client, input Input) (any, error) {
	fetch := func() (*vault.Response, error) {
		return client.RawRequestWithContext(ctx, client.NewRequest(http.MethodGet, "/v1/"+input.Path))
	}
	client.SetToken("s.of-a-cache-that-is-old")
	_, err := fetch()
	if err := refused(err, http.StatusForbidden, "permission denied"); err != nil {
		return nil, err
	}
	request := client.NewRequest(http.MethodPost, "/v1/auth/"+input.Mount+"/login")
	if err := request.SetJSONBody(map[string]string{"role": input.Role, "jwt": input.JWT}); err != nil {
		return nil, err
	}
	response, err := client.RawRequestWithContext(ctx, request)
	if err != nil {
		return nil, err
	}
	secret, err := vault.ParseSecret(response.Body)
	if err != nil {
		return nil, err
	}
	client.SetToken(secret.Auth.ClientToken)
	response, err = fetch()
	if err != nil {
		return nil, err
	}
	secret, err = vault.ParseSecret(response.Body)
	if err != nil {
		return nil, err
	}
	return secret.Data["data"], nil
}

// terraform is what its provider does: login, look-up, a child token, the server's version; then read, and the end of the child.
func terraform(ctx context.Context, client *vault.Client, input Input) (any, error) {
	secret, err := client.Logical().WriteWithContext(ctx, input.Path, input.Parameters)
	if err != nil {
		return nil, err
	}
	client.SetToken(secret.Auth.ClientToken)
	if _, err := client.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		return nil, err
	}
	renewable := false
	child, err := client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{
		DisplayName: "terraform", TTL: "1200s", ExplicitMaxTTL: "1200s", Renewable: &renewable,
	})
	if err != nil {
		return nil, err
	}
	client.SetToken(child.Auth.ClientToken)
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil || !regexp.MustCompile(`^\d+\.\d+\.\d+(\+\w+)?$`).MatchString(status.Version) || status.Sealed {
		return nil, fmt.Errorf("seal status: %v, %w", status, err)
	}
	read, err := client.KVv2(input.KV).Get(ctx, input.Key)
	if err != nil {
		return nil, err
	}
	return read.Data, client.Auth().Token().RevokeSelfWithContext(ctx, "")
}

// gitlab is what the runner does: health, login, read.
func gitlab(ctx context.Context, client *vault.Client, input Input) (any, error) {
	health, err := client.Sys().HealthWithContext(ctx)
	if err != nil || !health.Initialized || health.Sealed {
		return nil, fmt.Errorf("health: %v, %w", health, err)
	}
	if err := login(ctx, client, input); err != nil {
		return nil, err
	}
	read, err := client.Logical().ReadWithContext(ctx, input.KV+"/data/"+input.Key)
	if err != nil || read == nil {
		return nil, fmt.Errorf("%v, %w", read, err)
	}
	return read.Data["data"], nil
}

// kv is every call of the client's own helper for KV version 2.
func kv(ctx context.Context, client *vault.Client, input Input) (any, error) {
	if err := login(ctx, client, input); err != nil {
		return nil, err
	}
	store := client.KVv2(input.KV)
	value := func(n int) map[string]any { return map[string]any{"n": fmt.Sprint(n)} }
	if _, err := store.Get(ctx, input.Push); !errors.Is(err, vault.ErrSecretNotFound) {
		return nil, fmt.Errorf("absent: %w", err)
	}
	for n := 1; n <= 3; n++ {
		made, err := store.Put(ctx, input.Push, value(n), vault.WithCheckAndSet(n-1))
		if err != nil || made.VersionMetadata.Version != n {
			return nil, fmt.Errorf("put %d: %v, %w", n, made, err)
		}
	}
	_, err := store.Put(ctx, input.Push, value(9), vault.WithCheckAndSet(1))
	if err := refused(err, http.StatusBadRequest, "check-and-set parameter did not match the current version"); err != nil {
		return nil, err
	}
	for _, method := range []string{vault.KVMergeMethodPatch, vault.KVMergeMethodReadWrite} {
		if _, err := store.Patch(ctx, input.Push, map[string]any{"by": method}, vault.WithMergeMethod(method)); err != nil {
			return nil, fmt.Errorf("patch: %w", err)
		}
	}
	if old, err := store.GetVersion(ctx, input.Push, 2); err != nil || old.Data["n"] != "2" {
		return nil, fmt.Errorf("version 2: %v, %w", old, err)
	}
	if _, err := store.Rollback(ctx, input.Push, 1); err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	if err := store.PutMetadata(ctx, input.Push, vault.KVMetadataPutInput{CustomMetadata: map[string]any{"team": "blue"}}); err != nil {
		return nil, err
	}
	if err := store.PatchMetadata(ctx, input.Push, vault.KVMetadataPatchInput{CustomMetadata: map[string]any{"env": "prod"}}); err != nil {
		return nil, err
	}
	metadata, err := store.GetMetadata(ctx, input.Push)
	if err != nil || metadata.CurrentVersion != 6 || metadata.CustomMetadata["team"] != "blue" || metadata.CustomMetadata["env"] != "prod" {
		return nil, fmt.Errorf("metadata: %v, %w", metadata, err)
	}
	if err := store.DeleteVersions(ctx, input.Push, []int{5}); err != nil {
		return nil, err
	}
	if err := store.Undelete(ctx, input.Push, []int{5}); err != nil {
		return nil, err
	}
	if err := store.Destroy(ctx, input.Push, []int{2}); err != nil {
		return nil, err
	}
	versions, err := store.GetVersionsAsList(ctx, input.Push)
	if err != nil || len(versions) != 6 || !versions[1].Destroyed || !versions[4].DeletionTime.IsZero() {
		return nil, fmt.Errorf("versions: %v, %w", versions, err)
	}
	last, err := store.Get(ctx, input.Push)
	if err != nil {
		return nil, err
	}
	if err := store.Delete(ctx, input.Push); err != nil {
		return nil, err
	}
	// What is deleted is no error: it has metadata and no data.
	if gone, err := store.Get(ctx, input.Push); err != nil || gone.Data != nil || gone.VersionMetadata.DeletionTime.IsZero() {
		return nil, fmt.Errorf("deleted: %v, %w", gone, err)
	}
	return last.Data, store.DeleteMetadata(ctx, input.Push)
}
