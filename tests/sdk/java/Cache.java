import com.aliyuncs.exceptions.ClientException;
import com.aliyuncs.kms.secretsmanager.client.SecretCacheClient;
import com.aliyuncs.kms.secretsmanager.client.SecretCacheClientBuilder;
import com.aliyuncs.kms.secretsmanager.client.model.RegionInfo;
import com.aliyuncs.kms.secretsmanager.client.service.BaseSecretManagerClientBuilder;
import com.aliyuncs.kms.secretsmanager.client.service.DefaultSecretManagerClientBuilder;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.io.PrintStream;
import java.util.Collections;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Does what cache_client.py does: prints the value each time that it is another one, as a line of JSON, until standard input
 * ends; {"refused": CODE} when the service refuses the first read. KIND is `access-key`, with the key in the BULLA_… variables,
 * or `client-key`, which the caching client takes from its own variables. This client speaks https only, believes every
 * certificate, and asks for XML.
 */
final class Cache {
    private static final Gson JSON = new GsonBuilder().disableHtmlEscaping().create();

    private Cache() {}

    static void watch(String kind, String secret, long ttlMs) throws Exception {
        PrintStream lines = new PrintStream(System.out, true, "UTF-8");
        DefaultSecretManagerClientBuilder builder = BaseSecretManagerClientBuilder.standard();
        if (kind.equals("access-key")) {
            builder.withAccessKey(System.getenv("BULLA_ACCESS_KEY_ID"), System.getenv("BULLA_ACCESS_KEY_SECRET"));
            builder.addRegion(new RegionInfo(System.getenv("BULLA_REGION"), System.getenv("BULLA_ENDPOINT")));
        }
        SecretCacheClient client;
        String last = null;
        try {
            client = SecretCacheClientBuilder.newCacheClientBuilder(builder.build()).withSecretTTL(secret, ttlMs).build();
            last = client.getSecretInfo(secret).getSecretValue();
        } catch (Exception e) {
            String code = refusal(e);
            if (code == null) {
                throw e;
            }
            lines.println(JSON.toJson(Collections.singletonMap("refused", code)));
            return;
        }
        lines.println(JSON.toJson(last));

        CountDownLatch over = new CountDownLatch(1);
        Thread reader = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (IOException e) {
                // Ended all the same.
            }
            over.countDown();
        });
        reader.setDaemon(true);
        reader.start();
        while (!over.await(50, TimeUnit.MILLISECONDS)) {
            try {
                String value = client.getSecretInfo(secret).getSecretValue();
                if (!value.equals(last)) {
                    lines.println(JSON.toJson(value));
                    last = value;
                }
            } catch (Exception e) { // an application goes on with what it has until the service is back
                System.err.println("no value: " + e);
            }
        }
    }

    /** The service's code in this exception or what caused it. */
    private static String refusal(Throwable e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof ClientException && ((ClientException) cause).getErrCode() != null) {
                return ((ClientException) cause).getErrCode();
            }
        }
        return null;
    }
}
