/**
 * The official Java SDKs, driven by the suite: com.aliyun:kms20160120 and the caching client
 * com.aliyun:alibabacloud-secretsmanager-client.
 *
 * <pre>
 * Clients sdk                          calls of the typed SDK, one JSON object a line in and out (Sdk.java)
 * Clients cache KIND SECRET TTL_MS     watches one secret as a long-running application would (Cache.java)
 * </pre>
 */
public final class Clients {
    private Clients() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && arguments[0].equals("sdk")) {
            Sdk.serve(System.in, System.out);
        } else if (arguments.length == 4 && arguments[0].equals("cache")) {
            Cache.watch(arguments[1], arguments[2], Long.parseLong(arguments[3]));
        } else {
            System.err.println("usage: Clients sdk | Clients cache KIND SECRET TTL_MS");
            System.exit(2);
        }
        System.exit(0); // not through the caching client's threads, which wait for all of their retries
    }
}
