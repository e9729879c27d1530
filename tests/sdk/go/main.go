// The official Go SDKs, driven by the suite: alibabacloud-go/kms-20160120 and the caching client aliyun-secretsmanager-client-go.
//
//	clients sdk                            calls of the typed SDK, one JSON object a line in and out (sdk.go)
//	clients cache KIND SECRET TTL_MS       watches one secret as a long-running application would (cache.go)
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "sdk":
		err = serve(os.Stdin, os.Stdout)
	case len(os.Args) == 5 && os.Args[1] == "cache":
		err = watch(os.Args[2], os.Args[3], os.Args[4])
	default:
		err = fmt.Errorf("usage: clients sdk | clients cache KIND SECRET TTL_MS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
