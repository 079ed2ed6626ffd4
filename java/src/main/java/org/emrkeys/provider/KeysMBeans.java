package org.emrkeys.provider;

import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import javax.management.Attribute;
import javax.management.AttributeList;
import javax.management.AttributeNotFoundException;
import javax.management.DynamicMBean;
import javax.management.JMException;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * Shows the counters of keys by JMX: one MBean {@code
 * org.emrkeys:type=Keys,usage=…,key=…,instance=…} for each key that has a key service. Internal.
 *
 * <p>The JVM's MBean server holds MBeans, and so their class, so that the class loader of a provider
 * could not be collected while one is registered. An MBean therefore only refers weakly to its
 * provider, and goes when the provider is closed or collected. Owned by one provider. Thread-safe.
 */
final class KeysMBeans {
  private List<ObjectName> names = Collections.emptyList();

  /** Shows the keys that there are now, and no others. */
  synchronized void show(Client client, ProviderHandle provider, long instance) {
    hide();
    names = register(client, provider, instance);
  }

  /** Unregisters all. */
  synchronized void hide() {
    for (ObjectName name : names) {
      try {
        server().unregisterMBean(name);
      } catch (JMException | SecurityException e) {
        continue;
      }
    }
    names = Collections.emptyList();
  }

  /**
   * Unregisters all that a forgotten provider left. A finalizer, because nothing else of the JDK's
   * runs when an object is collected whose class loader the MBean server holds: a phantom reference
   * needs a thread, or a later call of a class that nobody uses any more.
   */
  @Override
  protected void finalize() throws Throwable {
    hide();
    super.finalize();
  }

  private static List<ObjectName> register(Client client, ProviderHandle provider, long instance) {
    List<ObjectName> names = new ArrayList<>();
    WeakReference<ProviderHandle> reference = new WeakReference<>(provider);
    for (KeyCounters counters : provider.counters()) {
      try {
        ObjectName name =
            new ObjectName(
                "org.emrkeys:type=Keys,usage="
                    + client.name().toLowerCase(Locale.ROOT).replace('_', '-')
                    + ",key="
                    + counters.key
                    + ",instance="
                    + instance);
        server().registerMBean(new KeyMBean(reference, counters), name);
        names.add(name);
      } catch (JMException | SecurityException e) {
        // A JVM that forbids it does without; keys do not depend on it.
        continue;
      }
    }
    return names;
  }

  private static MBeanServer server() {
    return ManagementFactory.getPlatformMBeanServer();
  }

  /** The counters of one key. Read-only. */
  private static final class KeyMBean implements DynamicMBean {
    private final WeakReference<ProviderHandle> provider;
    private final String key;
    private final MBeanInfo info;

    KeyMBean(WeakReference<ProviderHandle> provider, KeyCounters counters) {
      this.provider = provider;
      this.key = counters.key;
      List<MBeanAttributeInfo> attributes = new ArrayList<>();
      for (String name : counters.values.keySet()) {
        attributes.add(
            new MBeanAttributeInfo(
                name, "long", "see docs/operations.md of emrkeys", true, false, false));
      }
      this.info =
          new MBeanInfo(
              KeyMBean.class.getName(),
              "requests of emrkeys to the key service of key " + key,
              attributes.toArray(new MBeanAttributeInfo[0]),
              null,
              null,
              null);
    }

    @Override
    public Object getAttribute(String attribute) throws AttributeNotFoundException {
      ProviderHandle open = provider.get();
      if (open != null) {
        for (KeyCounters counters : open.counters()) {
          Long value = counters.values.get(attribute);
          if (counters.key.equals(key) && value != null) {
            return value;
          }
        }
      }
      throw new AttributeNotFoundException(attribute);
    }

    @Override
    public AttributeList getAttributes(String[] names) {
      AttributeList list = new AttributeList();
      for (String name : names) {
        try {
          list.add(new Attribute(name, getAttribute(name)));
        } catch (AttributeNotFoundException absent) {
          continue;
        }
      }
      return list;
    }

    @Override
    public void setAttribute(Attribute attribute) throws AttributeNotFoundException {
      throw new AttributeNotFoundException(attribute.getName() + " is read-only");
    }

    @Override
    public AttributeList setAttributes(AttributeList attributes) {
      return new AttributeList();
    }

    @Override
    public Object invoke(String name, Object[] arguments, String[] signature) {
      throw new UnsupportedOperationException(name);
    }

    @Override
    public MBeanInfo getMBeanInfo() {
      return info;
    }
  }
}
