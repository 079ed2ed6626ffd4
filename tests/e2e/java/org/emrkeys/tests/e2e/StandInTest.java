package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The stand-in itself, with a provider that only records: what reaches a provider, and when. */
class StandInTest {
  private final String bucket = Stack.bucket();
  private final String uri = "s3://" + bucket + "/a folder/ü%20";
  private final EncryptionMaterials materials =
      new EncryptionMaterials(KeyFiles.create().aes("k", 256).secretKey())
          .addDescription("stored", "yes");
  private EmrfsStandIn described;
  private EmrfsStandIn plain;

  StandInTest() throws IOException {}

  @BeforeEach
  void start() throws IOException {
    described = start(Site.described());
    plain = start(Site.plain());
  }

  @AfterEach
  void stop() throws IOException {
    described.close();
    plain.close();
  }

  private EmrfsStandIn start(Site site) throws IOException {
    return PlainProvider.install(site, materials).start(Stack.aws(), Mode.V1_AUTHENTICATED);
  }

  private static PlainProvider provider(EmrfsStandIn cluster) {
    return (PlainProvider) cluster.provider();
  }

  private static Map<String, String> location(String path) {
    Map<String, String> map = new HashMap<>();
    map.put("Path", path);
    map.put("JobflowId", Site.JOB_FLOW);
    return map;
  }

  @Test
  void aDescribedPutPassesPathAndJobFlow() {
    described.put(uri, Stack.content(16));
    assertEquals(Collections.singletonList(location(uri)), provider(described).calls());
  }

  @Test
  void aDescribedMultipartUploadAsksOnceForAllParts() {
    described.putMultipart(uri, Stack.content(EmrfsStandIn.PART_SIZE + 1));
    assertEquals(Collections.singletonList(location(uri)), provider(described).calls());
  }

  @Test
  void anUndescribedPutPassesNothing() {
    plain.put(uri, Stack.content(16));
    assertEquals(Collections.<Object>singletonList(null), provider(plain).calls());
  }

  @Test
  void aGetPassesTheStoredDescription() throws IOException {
    plain.put(uri, Stack.content(16));
    described.get(uri);
    assertEquals(
        Collections.singletonList(Collections.singletonMap("stored", "yes")),
        provider(described).calls());
  }

  @Test
  void aCopyAsksForNoKey() throws IOException {
    plain.put(uri, Stack.content(16));
    described.copy(uri, uri + "-copy");
    assertEquals(Collections.emptyList(), provider(described).calls());
    assertArrayEquals(Stack.content(16), plain.get(uri + "-copy"));
  }

  @Test
  void aCopyThroughTheClientPassesBothLocations() throws IOException {
    plain.put(uri, Stack.content(16));
    described.copyThroughClient(uri, uri + "-copy");
    Map<String, String> both = location(uri);
    both.put("DstPath", uri + "-copy");
    assertEquals(
        Arrays.asList(Collections.singletonMap("stored", "yes"), both),
        provider(described).calls());
  }

  @Test
  void aSiteThatContradictsTheModeIsRefused() {
    Site site = PlainProvider.install(Site.plain(), materials);
    site.set(EmrfsStandIn.ENCRYPTION_V2, "true");
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new EmrfsStandIn(
                Stack.aws(), site.configuration(), Mode.V1_AUTHENTICATED, Site.JOB_FLOW));
  }
}
