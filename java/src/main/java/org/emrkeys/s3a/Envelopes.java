package org.emrkeys.s3a;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Map;
import org.emrkeys.EmrKeysException;
import software.amazon.encryption.s3.materials.DecryptionMaterials;
import software.amazon.encryption.s3.materials.EncryptedDataKey;
import software.amazon.encryption.s3.materials.EncryptionMaterials;

/**
 * The metadata stored with an object, in the terms of the S3 Encryption Client that is there. Internal.
 *
 * <p>Release 3.1 knows the encryption context alone and stores it whatever the keyring. Since 3.4
 * there is a materials description beside it, which is what comes back for keys other than those of
 * KMS. The wrap's name was bytes until 4.0 made it text. This class is compiled against 3.1 and
 * looks up the rest.
 */
public final class Envelopes {
  private static final Method WRAP = method(EncryptedDataKey.class, "keyProviderInfo");

  /** Null before 3.4, as are the two below. */
  private static final Method STORED = method(DecryptionMaterials.class, "materialsDescription");

  private static final Method NEW_DESCRIPTION;
  private static final Method DESCRIBE;

  static {
    Method newDescription = null;
    Method describe = null;
    if (STORED != null) {
      Class<?> type = STORED.getReturnType();
      newDescription = method(type, "builder");
      describe = method(EncryptionMaterials.Builder.class, "materialsDescription", type);
    }
    NEW_DESCRIPTION = newDescription;
    DESCRIBE = describe;
  }

  private Envelopes() {}

  /**
   * The description that was stored with an object.
   *
   * @param materials of a read
   * @return never null
   */
  @SuppressWarnings("unchecked")
  public static Map<String, String> description(DecryptionMaterials materials) {
    Map<String, String> stored =
        STORED == null ? null : (Map<String, String>) call(STORED, materials);
    return stored == null || stored.isEmpty() ? materials.encryptionContext() : stored;
  }

  /**
   * Has a description stored with an object.
   *
   * @param materials of a write
   * @param description what is to be stored
   * @return materials with nothing but that as their description
   */
  public static EncryptionMaterials describe(
      EncryptionMaterials materials, Map<String, String> description) {
    EncryptionMaterials.Builder builder = materials.toBuilder();
    if (DESCRIBE == null) {
      return builder.encryptionContext(description).build();
    }
    Object builds = call(NEW_DESCRIPTION, null);
    call(method(builds.getClass(), "putAll", Map.class), builds, description);
    call(DESCRIBE, builder, call(method(builds.getClass(), "build"), builds));
    return builder.encryptionContext(Collections.emptyMap()).build();
  }

  /**
   * How a data key is wrapped.
   *
   * @param dataKey the wrapped data key
   * @return the name of the wrap, such as {@code AES/GCM}
   */
  public static String wrapOf(EncryptedDataKey dataKey) {
    Object name = call(WRAP, dataKey);
    return name instanceof byte[]
        ? new String((byte[]) name, StandardCharsets.UTF_8)
        : (String) name;
  }

  private static Method method(Class<?> type, String name, Class<?>... parameters) {
    try {
      return type.getMethod(name, parameters);
    } catch (NoSuchMethodException e) {
      return null;
    }
  }

  private static Object call(Method method, Object target, Object... arguments) {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException) {
        throw (RuntimeException) e.getCause();
      }
      throw unknownRelease(e.getCause());
    } catch (IllegalAccessException | NullPointerException e) {
      throw unknownRelease(e);
    }
  }

  private static EmrKeysException unknownRelease(Throwable cause) {
    return EmrKeysException.of(
        "INTERNAL",
        "this release of the S3 Encryption Client is not one that emrkeys knows",
        "Use one of 3.1 to 4.0, and report the release.",
        cause);
  }
}
