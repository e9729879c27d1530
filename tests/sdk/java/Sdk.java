import com.aliyun.kms20160120.Client;
import com.aliyun.tea.TeaException;
import com.aliyun.tea.TeaModel;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teautil.models.RuntimeOptions;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.ToNumberPolicy;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/** Makes calls of the typed SDK: each with the SDK's own method of the operation and the SDK's own request. */
final class Sdk {
    /** Where a Bulla listens, and an access key on it, as clients.py tells it. */
    static final class Target {
        String endpoint;
        String region;
        String access_key_id;
        String access_key_secret;
        String ca;
    }

    static final class Call {
        Target target;
        String action;
        Map<String, Object> parameters;
    }

    private static final Gson JSON =
            new GsonBuilder().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).disableHtmlEscaping().create();

    private Sdk() {}

    /** Makes the calls that it reads, one a line, until there are no more. */
    static void serve(InputStream in, PrintStream out) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(out, true, "UTF-8");
        Map<String, Client> clients = new HashMap<>();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Call call = JSON.fromJson(line, Call.class);
            String target = JSON.toJson(call.target);
            if (!clients.containsKey(target)) {
                clients.put(target, open(call.target));
            }
            answers.println(JSON.toJson(answer(clients.get(target), call)));
        }
    }

    /** A client as an application would make it. */
    private static Client open(Target at) throws Exception {
        Config config = new Config()
                .setAccessKeyId(at.access_key_id)
                .setAccessKeySecret(at.access_key_secret)
                .setEndpoint(at.endpoint)
                .setProtocol(at.ca == null ? "HTTP" : "HTTPS")
                .setRegionId(at.region);
        if (at.ca != null) {
            config.setCa(new String(Files.readAllBytes(Paths.get(at.ca)), StandardCharsets.UTF_8));
        }
        return new Client(config);
    }

    /** One of: the answer's body by its names on the wire, what the service refused, what failed before. */
    private static Map<String, ?> answer(Client client, Call call) {
        try {
            return Collections.singletonMap("body", body(client, call));
        } catch (InvocationTargetException e) {
            return failure(e.getCause());
        } catch (Exception e) {
            return failure(e);
        }
    }

    private static Object body(Client client, Call call) throws Exception {
        String name = Character.toLowerCase(call.action.charAt(0)) + call.action.substring(1) + "WithOptions";
        for (Method method : Client.class.getMethods()) {
            if (method.getName().equals(name)) {
                Object response;
                if (method.getParameterCount() == 1) { // OpenKmsService and DescribeRegions take no request
                    response = method.invoke(client, new RuntimeOptions());
                } else {
                    TeaModel request = (TeaModel) method.getParameterTypes()[0].getConstructor().newInstance();
                    TeaModel.build(call.parameters, request);
                    response = method.invoke(client, request, new RuntimeOptions());
                }
                return ((TeaModel) response).toMap().get("body");
            }
        }
        throw new IllegalArgumentException("this SDK has no " + call.action);
    }

    private static Map<String, ?> failure(Throwable e) {
        TeaException refusal = e instanceof TeaException ? (TeaException) e : null;
        if (refusal == null || refusal.getStatusCode() == null) {
            StringBuilder text = new StringBuilder();
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                text.append(cause).append("; ");
            }
            return Collections.singletonMap("failed", text.toString());
        }
        Map<String, Object> told = new HashMap<>();
        told.put("code", refusal.getCode());
        told.put("status", refusal.getStatusCode());
        told.put("request_id", refusal.getData() == null ? null : refusal.getData().get("RequestId"));
        return Collections.singletonMap("refused", told);
    }
}
