package org.emrkeys.provider;

import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
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
 * <p>An MBean does not keep its provider open; it goes when the provider is closed.
 */
final class KeysMBeans {
  private KeysMBeans() {}

  /**
   * Registers the MBeans of a provider.
   *
   * @return their names, for {@link #unregister}
   */
  static List<ObjectName> register(Usage usage, ProviderHandle provider, long instance) {
    List<ObjectName> names = new ArrayList<>();
    WeakReference<ProviderHandle> reference = new WeakReference<>(provider);
    for (KeyCounters counters : provider.counters()) {
      try {
        ObjectName name =
            new ObjectName(
                "org.emrkeys:type=Keys,usage="
                    + usage.name().toLowerCase(Locale.ROOT).replace('_', '-')
                    + ",key="
                    + counters.key
                    + ",instance="
                    + instance);
        server().registerMBean(new KeyMBean(reference, counters), name);
        names.add(name);
      } catch (JMException | SecurityException e) {
        // Whoever forbids it does without; keys do not depend on it.
        continue;
      }
    }
    return names;
  }

  static void unregister(List<ObjectName> names) {
    for (ObjectName name : names) {
      try {
        server().unregisterMBean(name);
      } catch (JMException | SecurityException e) {
        continue;
      }
    }
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
              "what emrkeys asked of the key service of key " + key,
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
